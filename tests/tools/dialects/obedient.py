"""A model that keeps to the schema it is given: says arguments as the schema wants them, or finds that it can't.

This is written from JSON Schema alone and knows nothing of how dialects change schemas, but for one thing: a value that
has to be said as text is said as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


class CannotSay(Exception):
    """The schema has no way to say a value."""


def obey(value: Any, schema: Mapping[str, Any]) -> Any:
    """Say a value by a schema."""
    schema = without_nullable(schema)
    said = _say(value, schema, schema)
    if not fits(said, schema, schema):
        raise CannotSay(f"{said!r} by {schema!r}")
    return said


def fits(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    whole = {**schema, "$defs": root.get("$defs", {})}
    return bool(Draft202012Validator(whole).is_valid(value))


def without_nullable(schema: Any) -> Any:
    """OpenAPI's `nullable: true` in terms of JSON Schema."""
    if isinstance(schema, list):
        return [without_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: without_nullable(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _say(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].split("/")[1:]:
            found = found[step]
        return _say(value, found, root)
    for branch in schema.get("anyOf", schema.get("oneOf", ())):
        try:
            said = _say(value, branch, root)
        except CannotSay:
            continue
        if fits(said, branch, root):
            return said
    if "anyOf" in schema or "oneOf" in schema:
        raise CannotSay(f"{value!r} by {schema!r}")
    if schema.get("type") == "string" and isinstance(value, dict | list):
        if "JSON text" not in schema.get("description", ""):
            raise CannotSay(f"{value!r} as a string")
        return json.dumps(value)
    if isinstance(value, list):
        prefix = schema.get("prefixItems", ())
        rest = schema.get("items", {})
        return [_say(item, prefix[i] if i < len(prefix) else rest, root) for i, item in enumerate(value)]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        said = {name: _say(below, properties.get(name, others), root) for name, below in value.items()}
        return said | {name: None for name in schema.get("required", ()) if name not in value}
    return value
