"""Arguments as a provider's schema had them, as the tool's own schema has them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from ..schema import accepts, json_type
from .reading import Inexpressible, merged, with_prefix_items


def restore(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Undo null for what was left out, and parse objects and arrays that came as JSON text.

    Args:
        arguments: What the model sent.
        schema: The tool's own schema.
    """
    restored: dict[str, Any] = _Restorer(schema).value(dict(arguments), schema)
    return restored


class _Restorer:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._definitions: Mapping[str, Any] = root.get("$defs", {})

    def value(self, value: Any, schema: Any) -> Any:
        if not isinstance(schema, Mapping) or not isinstance(value, dict | list | str):
            return value
        if "$ref" in schema or "allOf" in schema:
            beside = {keyword: below for keyword, below in schema.items() if keyword not in ("$ref", "allOf")}
            parts = [{"$ref": schema["$ref"]}] if "$ref" in schema else []
            try:
                schema, _ = merged(self._root, {**beside, "allOf": [*parts, *schema.get("allOf", ())]}, "", ())
            except Inexpressible:  # nothing can be known of it, and the tool has the last word
                return value
        schema = with_prefix_items(schema)
        if isinstance(value, str):
            return self._text(value, schema)
        branches = schema.get("anyOf", schema.get("oneOf"))
        if branches is not None:
            return self._alternative(value, branches)
        if isinstance(value, list):
            prefix = schema.get("prefixItems", ())
            rest = schema.get("items")
            return [self.value(item, prefix[i] if i < len(prefix) else rest) for i, item in enumerate(value)]
        return self._object(value, schema)

    def _text(self, text: str, schema: Mapping[str, Any]) -> Any:
        takes_text = accepts(schema, "string", self._definitions)
        if takes_text or not any(accepts(schema, kind, self._definitions) for kind in ("object", "array")):
            return text
        try:
            parsed = from_json(text)
        except ValueError:
            return text  # the tool says what is wrong with it
        return self.value(parsed, schema) if isinstance(parsed, dict | list) else text

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", ())
        restored: dict[str, Any] = {}
        for name, below in value.items():
            of_it = properties.get(name, schema.get("additionalProperties"))
            left_out = (
                below is None
                and name in properties
                and name not in required
                and not accepts(of_it, "null", self._definitions)
            )
            if not left_out:
                restored[name] = self.value(below, of_it)
        return restored

    def _alternative(self, value: dict[str, Any] | list[Any], branches: list[Any]) -> Any:
        possible = [b for b in branches if isinstance(b, Mapping) and accepts(b, json_type(value), self._definitions)]
        if len(possible) == 1:
            return self.value(value, possible[0])
        for branch in possible:
            restored = self.value(value, branch)
            if self._fits(restored, branch):
                return restored
        return value

    def _fits(self, value: Any, branch: Mapping[str, Any]) -> bool:
        from jsonschema import Draft202012Validator  # only where several alternatives are alike

        try:
            return bool(Draft202012Validator({"$defs": self._definitions, **branch}).is_valid(value))
        except Exception:  # schemas of others may hold patterns and references that nothing here can follow
            return False
