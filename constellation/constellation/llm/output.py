"""Structured output: an answer that has to be of a type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypeForm

from .errors import InvalidOutput
from .usage import Usage

T = TypeVar("T")

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(?P<json>.*)\n\s*```\s*", re.DOTALL)


@dataclass(frozen=True)
class OutputType(Generic[T]):
    """The type of a structured answer, such as a pydantic model.

    Attributes:
        type: Anything that pydantic validates. What is no JSON object is asked for inside one, as its field `result`,
            because providers take objects only.
        name: What the provider is told that it is called.
    """

    type: TypeForm[T]
    name: str = field(default="")

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        kind: Any = self.type  # every type is hashable, which type checkers do not know of forms
        return _adapter_of(kind)

    @cached_property
    def _wrapped(self) -> bool:
        return self._adapter.json_schema().get("type") != "object" and "$ref" not in self._adapter.json_schema()

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of an object."""
        schema = self._adapter.json_schema()
        if not self._wrapped:
            return schema
        definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
        closed = {"required": ["result"], "additionalProperties": False}
        return {"type": "object", "properties": {"result": schema}, **closed, **definitions}

    @cached_property
    def response_format(self) -> dict[str, Any]:
        """The request's `response_format` in Chat Completions."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name or getattr(self.type, "__name__", "") or "result")[:64]
        return {"type": "json_schema", "json_schema": {"name": name, "schema": self.schema}}

    def of_answer(self, text: str, *, finish: str, usage: Usage) -> T | None:
        """The value of an answer; None where it ends with calls of tools, was cut off or refused.

        Raises:
            InvalidOutput: it is not of the type.
        """
        if finish in ("tool_use", "length", "refused"):
            return None
        try:
            return self.parse(text)
        except InvalidOutput as error:
            raise InvalidOutput(str(error), text=text, usage=usage) from None

    def parse(self, text: str) -> T:
        """The answer as a value.

        Raises:
            InvalidOutput: it is not of the type; says where and why.
        """
        fenced = _FENCED.fullmatch(text)
        json = fenced["json"] if fenced else text
        try:
            if self._wrapped:
                kind: Any = self.type
                wrapped: T = _wrapper_of(kind).validate_json(json)["result"]
                return wrapped
            return self._adapter.validate_json(json)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the answer'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise InvalidOutput(f"the answer does not fit its schema: {problems}", text=text) from None


@lru_cache(maxsize=256)
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@lru_cache(maxsize=256)
def _wrapper_of(kind: Any) -> TypeAdapter[Any]:
    from typing_extensions import TypedDict

    return TypeAdapter(TypedDict("Wrapped", {"result": kind}))  # type: ignore[operator]
