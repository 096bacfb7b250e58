"""The checker of documented rules finds what is planted, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools.dialects import DIALECTS, Rules, violations
from constellation_tools.dialects.checking import limits_exceeded


def strict(dialect: str) -> Rules:
    rules = DIALECTS[dialect].strict_rules
    assert rules is not None
    return rules


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


INTEGER = {"type": "integer"}


@pytest.mark.parametrize(
    ("dialect", "schema", "found"),
    [
        ("openai-chat", {"type": "array", "items": {}}, "/: the root is no object"),
        ("openai-chat", closed({"a": {"type": "string", "minLength": 1}}), "/properties/a: minLength is not taken"),
        ("openai-chat", closed({"a": {**INTEGER, "default": 1}}), "/properties/a: default is not taken"),
        ("openai-chat", closed({"a": {"type": "string", "format": "uri"}}), "/properties/a: the format uri"),
        ("openai-chat", closed({"a": {"type": "string", "pattern": "(?=a)"}}), "/properties/a: the pattern (?=a)"),
        ("openai-chat", closed({"a": {}}), "/properties/a: no type"),
        ("openai-chat", closed({"a": {"enum": [1]}}), "/properties/a: no type"),
        ("openai-chat", closed({"a": {"type": "array"}}), "/properties/a: an array without items"),
        ("openai-chat", {**closed({"a": INTEGER}), "required": []}, "/: not all properties are required: a"),
        ("openai-chat", {**closed({}), "required": ["b"]}, "/: b is required and no property"),
        ("openai-chat", {**closed({}), "anyOf": [INTEGER]}, "/: anyOf at the root"),
        (
            "openai-chat",
            closed({"a": {"type": "object", "properties": {}, "required": []}}),
            "/properties/a: an object that is not closed by additionalProperties: false",
        ),
        (
            "openai-chat",
            closed({"a": {"$ref": "#/$defs/A", "description": "x"}}, **{"$defs": {"A": INTEGER}}),
            "/properties/a: description beside a reference",
        ),
        ("openai-chat", closed({"a": {"$ref": "#/$defs/A"}}), "/properties/a: #/$defs/A leads nowhere"),
        (
            "openai-chat",
            closed({"a": {"$ref": "#/properties/b"}, "b": INTEGER}),
            "/properties/a: #/properties/b is no reference to a definition",
        ),
        ("openai-chat", closed({"a": {"oneOf": [INTEGER]}}), "/properties/a: oneOf is not taken"),
        ("anthropic", closed({"a": {**INTEGER, "minimum": 1}}), "/properties/a: minimum is not taken"),
        (
            "anthropic",
            closed({"a": {"type": "array", "items": INTEGER, "minItems": 2}}),
            "/properties/a: minItems 2, more than 1",
        ),
        ("anthropic", closed({"ä": INTEGER}), "/: an argument named 'ä'"),
        (
            "anthropic",
            closed({"a": {"type": "array", "enum": [[1]], "items": {}}}),
            "/properties/a: a value of type array in an enum",
        ),
        (
            "bedrock",
            closed({"a": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": closed({"a": {"$ref": "#/$defs/A"}})}}),
            "/: #/$defs/A refers to itself",
        ),
        ("cohere", {**closed({"a": INTEGER}), "required": []}, "/: no argument is required"),
        ("cohere", closed({"a": {"type": "string", "pattern": "^a"}}), "/properties/a: the pattern ^a"),
    ],
)
def test_each_broken_rule_of_a_strict_mode_is_found_with_its_place(
    dialect: str, schema: dict[str, Any], found: str
) -> None:
    assert found in violations(schema, strict(dialect))


@pytest.mark.parametrize(
    ("dialect", "schema", "found"),
    [
        ("gemini", closed({"a": {"type": "string", "format": "date"}}), "/properties/a: format is not taken"),
        (
            "gemini",
            closed({"a": {"type": "boolean", "enum": [True]}}),
            "/properties/a: a value of type boolean in an enum",
        ),
        (
            "gemini-openapi",
            {"type": "object", "properties": {"a": {"type": ["integer", "null"]}}},
            "/properties/a: a list of types",
        ),
        ("gemini-openapi", {"type": "object", "properties": {"a": {"type": "null"}}}, "/properties/a: the type null"),
        (
            "gemini-openapi",
            {"type": "object", "properties": {"a": {"type": "object"}}},
            "/properties/a: an object without properties",
        ),
        ("gemini-openapi", closed({"a": INTEGER}), "/: additionalProperties is not taken"),
        (
            "gemini-openapi",
            {"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}},
            "/properties/a: a value of type integer in an enum",
        ),
        ("mcp", {"type": "object", "properties": {"a": {"x-mine": 1}}}, "/properties/a: x-mine is not taken"),
    ],
)
def test_each_broken_rule_of_a_plain_mode_is_found_with_its_place(
    dialect: str, schema: dict[str, Any], found: str
) -> None:
    assert found in violations(schema, DIALECTS[dialect].rules)


def test_what_keeps_all_rules_breaks_none() -> None:
    schema = closed(
        {"a": INTEGER, "b": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}], "description": "B."}},
        **{"$defs": {"B": closed({"c": {"type": "string", "enum": ["x"]}})}},
    )
    for dialect in ("openai-chat", "anthropic", "bedrock", "cohere"):
        assert violations(schema, strict(dialect)) == []
    for dialect in ("gemini", "mistral", "mcp"):
        assert violations(schema, DIALECTS[dialect].rules) == []


def nested(depth: int) -> dict[str, Any]:
    return closed({"a": nested(depth - 1) if depth > 1 else INTEGER})


def test_limits_of_size_are_measured() -> None:
    rules = strict("openai-chat")
    assert limits_exceeded(nested(10), rules) == []
    assert limits_exceeded(nested(11), rules) == ["11 nested objects, more than 10"]
    many = closed({f"p{i}": INTEGER for i in range(5_001)})
    assert limits_exceeded(many, rules) == ["5,001 properties, more than 5,000"]
    values = closed({"a": {"type": "integer", "enum": list(range(1_001))}})
    assert limits_exceeded(values, rules) == ["1,001 values in enums, more than 1,000"]
    long = closed({"a": {"type": "string", "enum": ["x" * 120_000]}})
    assert limits_exceeded(long, rules) == ["120,001 characters of names and values, more than 120,000"]


def test_a_definition_that_refers_to_itself_counts_once_in_depth() -> None:
    tree = closed({"a": {"$ref": "#/$defs/T"}}, **{"$defs": {"T": closed({"b": {"anyOf": [{"$ref": "#/$defs/T"}]}})}})
    assert limits_exceeded(tree, Rules(max_depth=1)) == ["2 nested objects, more than 1"]
