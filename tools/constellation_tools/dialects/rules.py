"""The vocabulary for a provider's documented rules of tool schemas. The rules themselves are data, in its own file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ANNOTATIONS = frozenset({"description", "title", "default", "examples", "deprecated", "readOnly", "writeOnly"})
"""Keywords of JSON Schema that constrain nothing."""

NOISE = frozenset({"title", "$schema", "$id", "$anchor", "$comment", "discriminator", "readOnly", "writeOnly"})
"""Keywords that tell a model nothing that it needs for a call."""

STRUCTURE = frozenset({"type", "description", "properties", "required", "items", "enum", "anyOf"})
"""Keywords that all providers take."""

REFERENCES = frozenset({"$ref", "$defs"})

NUMBER_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
STRING_BOUNDS = frozenset({"minLength", "maxLength"})
ARRAY_BOUNDS = frozenset({"minItems", "maxItems"})

JSON_SCHEMA = (
    STRUCTURE
    | REFERENCES
    | ANNOTATIONS
    | NUMBER_BOUNDS
    | STRING_BOUNDS
    | ARRAY_BOUNDS
    | frozenset({"$schema", "$id", "$anchor", "$comment", "discriminator", "definitions"})
    | frozenset({"const", "allOf", "oneOf", "not", "if", "then", "else", "format", "pattern", "prefixItems"})
    | frozenset({"additionalProperties", "patternProperties", "propertyNames", "dependentRequired"})
    | frozenset({"dependentSchemas", "minProperties", "maxProperties", "unevaluatedProperties", "unevaluatedItems"})
    | frozenset({"contains", "minContains", "maxContains", "uniqueItems"})
    | frozenset({"contentEncoding", "contentMediaType", "contentSchema"})
)
"""All keywords of JSON Schema 2020-12 that a tool's schema may have."""

SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
ALL_TYPES = SCALARS | {"array", "object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a provider takes as the schema of a tool's arguments.

    Attributes:
        keywords: The keywords that may stand in it.
        tool_name: A regular expression for names of tools.
        argument_name: A regular expression for names of arguments; None for any.
        formats: The values of `format`; None for any.
        enum_types: The JSON types that values of an `enum` may have.
        closed: Every object says `additionalProperties: false`, so that maps with open keys can't be said.
        all_required: Every property is required, so that optional ones have to be nullable.
        typed: Every schema says a type, alternatives or a reference, so that "anything" can't be said.
        type_lists: `type` may be a list.
        null_type: There is a type `null`; where there isn't, `nullable: true` says it.
        siblings_of_ref: Keywords may stand beside `$ref`.
        recursion: A definition may refer to itself.
        json_text: An object or array that can't be said is sent as JSON text.
        properties_needed: An object with no properties at all is not taken, except as the root.
        no_pattern: A regular expression for what may not occur in a `pattern`; None for nothing.
        least_items: The largest `minItems` that may be asked for; None for any.
        required_needed: A tool has to have a required argument.
        max_depth: How many objects may be nested, the root included; None for any.
        max_properties: How many properties all objects of a tool may have together; None for any.
        max_enum_values: How many values all enums of a tool may have together; None for any.
        max_text: How many characters names and enum values of a tool may have together; None for any.
        max_optional: How many properties of a tool may be optional; None for any.
        max_unions: How many properties of a tool may have alternatives; None for any.
    """

    keywords: frozenset[str] = JSON_SCHEMA
    tool_name: str = r"[A-Za-z0-9_-]{1,64}"
    argument_name: str | None = None
    formats: frozenset[str] | None = None
    enum_types: frozenset[str] = ALL_TYPES
    closed: bool = False
    all_required: bool = False
    typed: bool = False
    type_lists: bool = True
    null_type: bool = True
    siblings_of_ref: bool = True
    recursion: bool = True
    json_text: bool = False
    properties_needed: bool = False
    no_pattern: str | None = None
    least_items: int | None = None
    required_needed: bool = False
    max_depth: int | None = None
    max_properties: int | None = None
    max_enum_values: int | None = None
    max_text: int | None = None
    max_optional: int | None = None
    max_unions: int | None = None

    def takes(self, keyword: str, value: Any) -> bool:
        """Whether a keyword may stand with a value."""
        if keyword not in self.keywords:
            return False
        if keyword == "format":
            return self.formats is None or value in self.formats
        if keyword == "pattern":
            return self.no_pattern is None or re.search(self.no_pattern, value) is None
        if keyword == "minItems":
            return self.least_items is None or bool(value <= self.least_items)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """What a provider takes in one request.

    Attributes:
        max_tools: How many tools; None for any.
        max_strict_tools: How many of them may be strict; None for any.
        max_strict_optional: How many optional properties strict tools may have together; None for any.
        max_strict_unions: How many properties with alternatives strict tools may have together; None for any.
        max_strict_properties: How many properties strict tools may have together; None for any.
        strict_together: Strict mode is a switch of the request: all tools are strict, or none is.
    """

    max_tools: int | None = None
    max_strict_tools: int | None = None
    max_strict_optional: int | None = None
    max_strict_unions: int | None = None
    max_strict_properties: int | None = None
    strict_together: bool = False


LOOK_AROUND = r"\(\?(?:[=!]|<[=!])"
"""Look-ahead and look-behind."""

BACK_REFERENCE = r"\\[1-9]|\\b|\\B"
"""References to groups, and word boundaries."""

ANCHORS_AND_LOOK_AROUND = r"(?<!\\)(?<!\[)\^|(?<!\\)\$|" + LOOK_AROUND
"""Anchors, look-ahead and look-behind."""
