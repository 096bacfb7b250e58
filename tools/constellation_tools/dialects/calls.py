"""Calls and results as all dialects share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_jsonable_python

JSON = Any
"""A value of JSON types."""


NAMELESS = "nameless-"
"""How ids begin that are made up for calls of providers that give none."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asks for.

    Attributes:
        id: What the provider calls it; its result has to say so again.
        name: Which tool.
        arguments: The arguments as the tool's own schema has them, not yet validated.
        problem: Why the arguments could not be read; None when they could. Such a call is answered with this.
        extra: What the provider wants back with the call, as it came.
    """

    id: str
    name: str
    arguments: dict[str, JSON] = field(default_factory=dict)
    problem: str | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What became of one call.

    Attributes:
        id: The call's.
        name: The tool's name.
        value: What the tool returned, as JSON types; for a failure, what the model is to know of it.
        is_error: Whether the call failed.
        structured: The value as the tool's offered result schema has it, where a provider takes such.
        pending: Whether the call still goes on, and this only says so; its result comes later under the same id.
    """

    id: str
    name: str
    value: JSON
    is_error: bool = False
    structured: Mapping[str, JSON] | None = None
    pending: bool = False

    @property
    def text(self) -> str:
        """The value as text: text as it is, all else as JSON."""
        return self.value if isinstance(self.value, str) else to_text(self.value)

    @property
    def mapping(self) -> dict[str, JSON]:
        """The value as an object, for providers that take nothing else."""
        if self.is_error:
            return {"error": self.value}
        return self.value if isinstance(self.value, dict) else {"result": self.value}


@dataclass(frozen=True, slots=True)
class CallPart:
    """A piece of a call out of a stream.

    Attributes:
        index: Which call of the answer it belongs to; None when the provider does not say.
        id: The call's id, where this piece has it.
        name: The tool's name, where this piece has it.
        text: More of the arguments' JSON text.
        arguments: The arguments as a whole, in place of all text.
        ends: Whether the call is complete with it.
        extra: What the provider wants back with the call.
    """

    index: int | str | None = None
    id: str = ""
    name: str = ""
    text: str = ""
    arguments: Any = None
    ends: bool = False
    extra: Mapping[str, JSON] = field(default_factory=dict)


def read_arguments(given: Any) -> tuple[dict[str, JSON], str | None]:
    """Read arguments that came as JSON text or as an object; returns them, or else what is wrong with them."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}, None  # tools without arguments are often called so
    parsed = given
    for _ in range(2):  # some models write JSON into JSON
        if not isinstance(parsed, str):
            break
        try:
            parsed = from_json(parsed)
        except ValueError as error:
            return {}, f"the arguments are not valid JSON ({error}); send one JSON object"
    if isinstance(parsed, Mapping):
        return dict(parsed), None
    return {}, f"the arguments are JSON of type {type(parsed).__name__}; send one JSON object"


def to_text(value: JSON) -> str:
    """JSON text."""
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def given_id(id: str) -> dict[str, str]:
    """A call's id for a provider that may have given none."""
    return {} if id.startswith(NAMELESS) else {"id": id}
