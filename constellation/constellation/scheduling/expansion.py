"""Filling the inputs of a nested constellation into its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import ReferenceFault
from ..graph.errors import show_path
from ..graph.references import parse_reference, point_into

_SPARED = ("stars", None, "work", "constellation")
"""The keys that lead to what is nested once more, in which None is any key."""

_ARGUMENTS = ("stars", None, "work", "arguments")
"""The keys that lead to arguments, in which alone references are looked for."""


def fill_inputs(document: Any, inputs: Mapping[str, Any]) -> Any:
    """A copy of a nested document in which every `{"$input": "<JSON pointer>"}` is replaced by that part of `inputs`.

    What is nested in it once more has inputs of its own, and is left as it is until it begins.

    Raises:
        ReferenceFault: a pointer is malformed or names nothing in the inputs; or what it names would be taken for a
            reference: inputs are data, and have no say in what the document refers to.
    """
    return _fill(document, inputs, ())


def _fill(value: Any, inputs: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"$input"}:
            return _input(value["$input"], inputs, path)
        return {
            key: item if _leads(_SPARED, (*path, key)) else _fill(item, inputs, (*path, key))
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_fill(item, inputs, (*path, index)) for index, item in enumerate(value)]
    return value


def _input(pointer: object, inputs: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    if not isinstance(pointer, str):
        raise ReferenceFault(f"'$input' is {pointer!r} at {show_path(path)}, and has to be a JSON pointer", path=path)
    found = point_into(inputs, parse_reference(f"input#{pointer}", path))
    if _leads(_ARGUMENTS, path[: len(_ARGUMENTS)]) and _holds_reference(found):
        raise ReferenceFault(
            f"the input {pointer!r} holds an object with the key '$ref', which would be taken for a reference; "
            "give it as text",
            path=path,
        )
    return found


def _leads(pattern: tuple[str | None, ...], path: tuple[str | int, ...]) -> bool:
    return len(path) == len(pattern) and all(step in (None, key) for step, key in zip(pattern, path, strict=True))


def _holds_reference(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "$ref" in value or any(map(_holds_reference, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_holds_reference, value))
