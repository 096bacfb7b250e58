"""JSON Schema (2020-12) as tools publish it: pydantic's, without noise, with what docstrings say of nested types."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from .docstrings import parse_docstring

_NAMED_SCHEMAS = frozenset({"properties", "$defs", "patternProperties", "dependentSchemas"})
_DATA = frozenset({"default", "const", "enum", "examples"})


def json_schema_of(adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> dict[str, Any]:
    """Return the schema of what an adapter takes (`validation`) or gives (`serialization`).

    Raises:
        pydantic.errors.PydanticInvalidForJsonSchema: JSON Schema can't describe the type.
    """
    schema: dict[str, Any] = _without_titles(adapter.json_schema(mode=mode, schema_generator=_ToolJsonSchema))
    return schema


def accepts(schema: Mapping[str, Any], kind: str, definitions: Mapping[str, Any]) -> bool:
    """Whether a value of a JSON type (`string`, `array`, `object`, ...) may satisfy a schema, judged by types alone."""
    return _accepts(schema, kind, definitions, frozenset())


class _ToolJsonSchema(GenerateJsonSchema):
    """Adds docstrings' words on fields, and leaves out defaults that have no JSON form without warning about it."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - declared so by pydantic

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Flags are whole numbers, in which members may be combined; other enums need values that JSON has."""
        cls = schema["cls"]
        if issubclass(cls, enum.Flag):
            return _flags(cls, super().enum_schema(schema))
        for member in schema["members"]:
            if not isinstance(member.value, str | int | float | None):
                raise PydanticInvalidForJsonSchema(
                    f"the value of {cls.__name__}.{member.name} is no JSON scalar: give its members text or numbers"
                )
        return super().enum_schema(schema)

    def field_is_present(self, field: Any) -> bool:
        """A dataclass does not take what it makes itself."""
        made_inside = self.mode == "validation" and field.get("init") is False
        return not made_inside and super().field_is_present(field)

    def is_subclass_schema(self, schema: core_schema.IsSubclassSchema) -> JsonSchemaValue:
        """JSON has no classes."""
        return self.handle_invalid_for_json_schema(schema, f"a subclass of {schema['cls'].__name__}")

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _documented(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _documented(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        cls = schema.get("cls")
        json_schema = super().typed_dict_schema(schema)
        return json_schema if cls is None else _documented(json_schema, cls)


def has_json_form(value: Any) -> bool:
    """Whether a value of JSON's types can be written as JSON: infinities and NaN can't."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _flags(cls: type[enum.Flag], json_schema: JsonSchemaValue) -> JsonSchemaValue:
    """Say a set of flags: the sum of some members."""
    described: JsonSchemaValue = {
        key: value for key, value in json_schema.items() if key in ("title", "description", "default")
    }
    names = ", ".join(f"{member.value} {member.name}" for member in cls)
    described.setdefault("description", f"A sum of: {names}.")
    bounds = {"minimum": 0, "maximum": sum(member.value for member in cls)}
    keeps_others = getattr(cls, "_boundary_", enum.STRICT) is enum.KEEP
    return {"type": "integer", **({} if keeps_others else bounds), **described}


def _documented(json_schema: JsonSchemaValue, cls: type) -> JsonSchemaValue:
    """Describe a class and its fields by its docstring and those of its bases, where nothing else does."""
    own = parse_docstring(cls.__dict__.get("__doc__"))
    # A dataclass without a docstring is given its signature as one, which says nothing that the schema does not.
    generated = own.description.startswith(f"{cls.__name__}(")
    if own.description and not generated:
        json_schema["description"] = own.description
    fields: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ != "builtins" and base is not BaseModel:
            fields.update(parse_docstring(base.__dict__.get("__doc__")).parameters)
    for name, field_schema in json_schema.get("properties", {}).items():
        if name in fields:
            field_schema.setdefault("description", fields[name])
    return json_schema


def _without_titles(node: Any) -> Any:
    """Drop titles, which only repeat names; a property or a value that is called `title` stays."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    cleaned: dict[str, Any] = {}
    for key, value in node.items():
        if key == "title" or (key == "default" and not has_json_form(value)):
            continue
        if key in _DATA:
            cleaned[key] = value
        elif key in _NAMED_SCHEMAS:
            cleaned[key] = {name: _without_titles(schema) for name, schema in value.items()}
        else:
            cleaned[key] = _without_titles(value)
    return cleaned


def _accepts(schema: Any, kind: str, definitions: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False
    reference = schema.get("$ref")
    if reference is not None:
        if reference in seen:
            return False
        target = definitions.get(reference.rpartition("/")[2], {})
        return _accepts(target, kind, definitions, seen | {reference})

    def matches(part: Mapping[str, Any]) -> bool:
        return _accepts(part, kind, definitions, seen)

    declared = schema.get("type")
    if declared is not None:
        return kind in declared if isinstance(declared, list) else bool(kind == declared)
    if "const" in schema:
        return kind == json_type(schema["const"])
    if "enum" in schema:
        return any(kind == json_type(value) for value in schema["enum"])
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return any(matches(part) for part in schema[combination])
    if "allOf" in schema:
        return all(matches(part) for part in schema["allOf"])
    return True


def json_type(value: Any) -> str:
    """The JSON type of a value; `integer` for whole numbers that Python holds as such."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
