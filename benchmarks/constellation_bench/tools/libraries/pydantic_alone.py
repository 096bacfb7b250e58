"""pydantic and nothing else, as one would write it by hand: what all others are compared to."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

context = None


@dataclass(frozen=True, slots=True)
class Made:
    """A function with the validator of its arguments."""

    function: Callable[..., Any]
    validate: Callable[[Any], dict[str, Any]]
    adapter: TypeAdapter[Any]
    is_async: bool


def make(function: Callable[..., Any]) -> Made:
    """A `TypedDict` of the parameters."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields = {
        name: hints.get(name, Any) if parameter.default is parameter.empty else NotRequired[hints.get(name, Any)]
        for name, parameter in inspect.signature(function).parameters.items()
    }
    typed_dict: Any = TypedDict
    arguments = typed_dict("arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    adapter: TypeAdapter[Any] = TypeAdapter(arguments)
    return Made(function, adapter.validator.validate_python, adapter, inspect.iscoroutinefunction(function))


make_quick = make


def schema(made: Made) -> Mapping[str, Any]:
    """Pydantic's own."""
    return made.adapter.json_schema()


def description(made: Made) -> str:
    """The docstring."""
    return inspect.getdoc(made.function) or ""


async def call(made: Made, arguments: dict[str, Any]) -> Any:
    """Validate, and call."""
    result = made.function(**made.validate(arguments))
    return await result if made.is_async else result
