"""Filling the inputs of a nested constellation into its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import Reference, StarId
from ..graph.references import point_into

_INPUT = StarId("input")


def fill_inputs(document: Any, inputs: Mapping[str, Any]) -> Any:
    """A copy of a nested document in which every `{"$input": "<JSON pointer>"}` is replaced by that part of `inputs`.

    Raises:
        ReferenceFault: a pointer names nothing in the inputs.
    """
    if isinstance(document, Mapping):
        if document.keys() == {"$input"}:
            return point_into(inputs, Reference((), _INPUT, str(document["$input"])))
        return {key: fill_inputs(value, inputs) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [fill_inputs(value, inputs) for value in document]
    return document
