"""Structured output: an answer that has to be of a type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypeForm

from .errors import InvalidOutput, InvalidRequest
from .strict_json import read_json
from .usage import Usage

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

T = TypeVar("T")

_FENCED = re.compile(r"\s*```(?:json|JSON)?\s*\n(?P<json>.*)\n\s*```\s*", re.DOTALL)


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
    def _own_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema()

    @cached_property
    def _wrapped(self) -> bool:
        return self._own_schema.get("type") != "object" and "$ref" not in self._own_schema

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of an object."""
        schema = dict(self._own_schema)
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
        try:
            return self._read(fenced["json"] if fenced else text)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the answer'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise InvalidOutput(f"the answer does not fit its schema: {problems}", text=text) from None

    def _read(self, text: str) -> T:
        if self._wrapped:
            kind: Any = self.type
            wrapped: T = _wrapper_of(kind).validate_json(text)["result"]
            return wrapped
        return self._adapter.validate_json(text)


@dataclass(frozen=True)
class SchemaOutput(OutputType[Any]):
    """A structured answer by its JSON Schema (2020-12), where no type is at hand: its value is of JSON types."""

    given: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, schema: Mapping[str, Any], name: str = "") -> SchemaOutput:
        """The output that fits a schema.

        Raises:
            InvalidRequest: it is no schema.
        """
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidRequest(f"the output's schema is none: {error.message}") from None
        return cls(Any, name or str(schema.get("title", "")), schema)

    @cached_property
    def _own_schema(self) -> dict[str, Any]:
        return dict(self.given)

    @cached_property
    def _validator(self) -> Validator:
        from jsonschema import Draft202012Validator
        from referencing.jsonschema import EMPTY_REGISTRY

        # With a registry of its own it follows no reference to an address that somebody has put into the schema.
        return Draft202012Validator(self.schema, registry=EMPTY_REGISTRY)

    def _read(self, text: str) -> Any:
        from referencing.exceptions import Unresolvable

        try:
            value = read_json(text)
            problems = [
                f"{'.'.join(map(str, error.absolute_path)) or 'the answer'}: {error.message[:300]}"
                for error in self._validator.iter_errors(value)
            ]
        except ValueError as error:
            problems = [f"the answer: it is no JSON ({error})"]
        except Unresolvable as error:
            problems = [f"its schema can't be used: {error}"]
        if problems:
            raise InvalidOutput(f"the answer does not fit its schema: {'; '.join(problems[:10])}", text=text)
        return value["result"] if self._wrapped else value


@lru_cache(maxsize=256)
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@lru_cache(maxsize=256)
def _wrapper_of(kind: Any) -> TypeAdapter[Any]:
    from typing_extensions import TypedDict

    return TypeAdapter(TypedDict("Wrapped", {"result": kind}))  # type: ignore[operator]
