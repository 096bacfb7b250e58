"""Filling the inputs of a nested constellation into its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import Reference, StarId
from ..graph.references import point_into

_INPUT = StarId("input")


def fill_inputs(document: Any, inputs: Mapping[str, Any]) -> Any:
    """A copy of a nested document in which every `{"$input": "<JSON pointer>"}` is replaced by that part of `inputs`.

    What is nested in it once more has inputs of its own, and is left as it is until it begins.

    Raises:
        ReferenceFault: a pointer names nothing in the inputs.
    """
    return _fill(document, inputs, ("stars", None, "work", "constellation"))


def _fill(value: Any, inputs: Mapping[str, Any], spared: tuple[str | None, ...]) -> Any:
    """Fill a value, but for what is found by following the keys in `spared`, in which None is any key."""
    if isinstance(value, Mapping):
        if value.keys() == {"$input"}:
            return point_into(inputs, Reference((), _INPUT, str(value["$input"])))
        return {key: _fill_under(key, item, inputs, spared) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill(item, inputs, ()) for item in value]
    return value


def _fill_under(key: str, value: Any, inputs: Mapping[str, Any], spared: tuple[str | None, ...]) -> Any:
    if not spared or spared[0] not in (None, key):
        return _fill(value, inputs, ())
    return _fill(value, inputs, spared[1:]) if len(spared) > 1 else value
