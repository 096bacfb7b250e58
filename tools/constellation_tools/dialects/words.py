"""Constraints in words, for descriptions in dialects that have no keyword for them."""

from __future__ import annotations

import json
from typing import Any

_SENTENCES = {
    "default": "Default: {}.",
    "examples": "Examples: {}.",
    "const": "Always {}.",
    "enum": "One of: {}.",
    "format": "Format: {}.",
    "pattern": "Matches the regular expression {}.",
    "minLength": "At least {} characters.",
    "maxLength": "At most {} characters.",
    "minimum": "At least {}.",
    "maximum": "At most {}.",
    "exclusiveMinimum": "More than {}.",
    "exclusiveMaximum": "Less than {}.",
    "multipleOf": "A multiple of {}.",
    "minItems": "At least {} items.",
    "maxItems": "At most {} items.",
    "uniqueItems": "No item twice.",
    "prefixItems": "Items in this order: {}.",
    "minProperties": "At least {} keys.",
    "maxProperties": "At most {} keys.",
    "propertyNames": "Keys fit this JSON Schema: {}.",
    "contentEncoding": "Encoded as {}.",
    "contentMediaType": "Media type {}.",
    "deprecated": "Deprecated.",
}
_BARE = frozenset({"prefixItems", "format", "pattern", "contentEncoding", "contentMediaType"})
_LISTED = frozenset({"enum", "examples"})


def sentence(keyword: str, value: Any) -> str:
    """Say a constraint; one that has no words of its own is quoted as JSON Schema."""
    template = _SENTENCES.get(keyword)
    if template is None:
        return f"Has to fit this JSON Schema: {compact({keyword: value})}."
    if keyword in _LISTED and isinstance(value, list):
        return template.format(", ".join(compact(item) for item in value))
    return template.format(value if keyword in _BARE else compact(value))


def compact(value: Any) -> str:
    """A value as JSON without blanks to spare."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def joined(description: str, sentences: list[str]) -> str:
    """A description with sentences after it."""
    text = description.rstrip()
    if text and sentences and text[-1] not in ".!?:":
        text += "."
    return " ".join([text, *sentences] if text else sentences)
