"""A second look at arguments that were refused: JSON may say them in a way that Python's types do not take at once.

Models send lists and objects as JSON text, at any depth; and strict models refuse, of Python's values, what JSON has no
other form for, such as text for a date. Calls whose arguments fit never come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from .problems import place_of

_WANTED_STRUCTURE = frozenset(
    {
        "list_type",
        "tuple_type",
        "set_type",
        "frozen_set_type",
        "dict_type",
        "mapping_type",
        "sequence_str",
        "iterable_type",
        "model_type",
        "model_attributes_type",
        "dataclass_type",
        "dataclass_exact_type",
        "named_tuple_type",
        "arguments_type",
        "is_instance_of",
    }
)
"""The errors of pydantic that say that a list or an object was wanted."""

_MOST_ROUNDS = 8
"""How deep JSON text may be nested in JSON text."""


def validate_again(
    adapter: TypeAdapter[Any], arguments: Mapping[str, Any], error: ValidationError, context: dict[str, Any] | None
) -> Any:
    """Validate arguments with JSON text parsed where that helps, and then as JSON.

    Raises:
        ValidationError: they don't fit all the same; of the arguments with all text parsed that can be.
    """
    for _ in range(_MOST_ROUNDS):
        parsed = _with_text_parsed(arguments, error.errors(include_url=False))
        if parsed is None:
            break
        arguments = parsed
        try:
            return adapter.validator.validate_python(arguments, context=context)
        except ValidationError as further:
            error = further
    try:
        text = to_json(arguments)
    except ValueError:  # there are values among them that are not JSON's
        raise Refused(error, arguments) from None
    try:
        return adapter.validator.validate_json(text, context=context)
    except ValidationError:
        raise Refused(error, arguments) from None


class Refused(Exception):
    """Raised when arguments don't fit at the second look either; holds what is wrong with them."""

    def __init__(self, error: ValidationError, arguments: Mapping[str, Any]) -> None:
        self.error = error
        self.arguments = arguments
        super().__init__(error, arguments)


def _with_text_parsed(arguments: Mapping[str, Any], details: list[ErrorDetails]) -> Mapping[str, Any] | None:
    """Arguments with text parsed in the places where a list or an object was wanted; None when there are none."""
    places: dict[tuple[str | int, ...], Any] = {}
    for detail in details:
        if detail["type"] in _WANTED_STRUCTURE and isinstance(detail["input"], str):
            try:
                parsed = from_json(detail["input"])
            except ValueError:
                continue  # told as the text that it is
            if isinstance(parsed, list | dict):
                places[place_of(detail, arguments)] = parsed
    if not places:
        return None
    changed: Any = arguments
    for place, parsed in places.items():
        changed = replaced(changed, place, parsed)
    result: Mapping[str, Any] = changed
    return result


def replaced(value: Any, place: Sequence[str | int], new: Any) -> Any:
    """A copy of a value with another one in one place, which leads through mappings and lists alone."""
    if not place:
        return new
    first, rest = place[0], place[1:]
    if isinstance(value, Mapping):
        return {**value, first: replaced(value[first], rest, new)}
    assert isinstance(first, int)
    return [*value[:first], replaced(value[first], rest, new), *value[first + 1 :]]
