"""JSON Schemas without what may take forever to check: patterns, and formats, which are patterns by another name.

What is left takes all that the whole schema takes, and more. So a part in which something was left out can't stand
where taking more means taking less outside of it (`not`, `if`, `contains`, one of `oneOf`): that goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PATTERNS = frozenset({"pattern", "patternProperties", "format"})
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_MAPS = frozenset({"properties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords whose values hold schemas by names that anybody may choose."""
_DEFINITIONS = frozenset({"$defs", "definitions"})
_PARTS = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "oneOf",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords whose value is a schema, or a list of them."""


def without_patterns(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a schema that takes all that it takes, and that is checked in a time that its size and depth bound."""
    made: dict[str, Any] = _freed(dict(schema), _mentions_patterns(schema))[0]
    return made


def _mentions_patterns(node: Any) -> bool:
    """Whether any of the keywords is there, if only as a name: then references may lead to one."""
    if isinstance(node, Mapping):
        return not _PATTERNS.isdisjoint(node) or any(map(_mentions_patterns, node.values()))
    return isinstance(node, list) and any(map(_mentions_patterns, node))


def _freed(node: Any, doubt_references: bool) -> tuple[Any, bool]:
    """A part without patterns, and whether it may take more than before."""
    if isinstance(node, list):
        parts = [_freed(part, doubt_references) for part in node]
        return [part for part, _ in parts], any(loose for _, loose in parts)
    if not isinstance(node, dict):
        return node, False
    made: dict[str, Any] = {}
    loose: set[str] = set()
    for keyword, value in node.items():
        if keyword in _PATTERNS:
            loose.add(keyword)
            continue
        is_loose = doubt_references and keyword in _REFERENCES
        if keyword in _MAPS and isinstance(value, dict):
            freed = {name: _freed(part, doubt_references) for name, part in value.items()}
            value = {name: part for name, (part, _) in freed.items()}
            is_loose = keyword not in _DEFINITIONS and any(each for _, each in freed.values())
        elif keyword in _PARTS:
            value, is_loose = _freed(value, doubt_references)
        made[keyword] = value
        if is_loose:
            loose.add(keyword)
    _open(made, loose)
    return made, bool(loose)


def _open(made: dict[str, Any], loose: set[str]) -> None:
    """Take out, in place, what would take less now that some of the keywords take more or are gone."""
    gone: list[str] = []
    if "not" in loose:
        gone += ["not"]
    if "if" in loose:
        gone += ["if", "then", "else"]
    if "contains" in loose:
        gone += ["contains", "minContains", "maxContains"]
    if "patternProperties" in loose:
        gone += ["additionalProperties"]  # which names are left over was for the patterns to say
    if loose:
        gone += ["unevaluatedProperties", "unevaluatedItems"]
    for keyword in gone:
        made.pop(keyword, None)
    if "oneOf" in loose:
        made["allOf"] = [*made.get("allOf", ()), {"anyOf": made.pop("oneOf")}]
