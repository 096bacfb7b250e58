"""Schemas by the rules of each provider, written down by hand from the providers' documentation."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools.dialects import DIALECTS, LossKind

from .described import Plain, of_one

NULL = {"type": "null"}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}},
    "required": ["x"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "below": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    "required": ["n", "below"],
    "additionalProperties": False,
}


def rendered(dialect: str, schema: Any, *, strict: bool = False, required: bool = True, **more: Any) -> Any:
    """How a dialect says the one argument."""
    declared = DIALECTS[dialect].declare(of_one(schema, required=required, **more), strict=strict)
    assert declared.report.refused is None, declared.report.refused
    return declared.schema["properties"]["a"]


def kinds(dialect: str, schema: Any, *, strict: bool = False, required: bool = True) -> set[LossKind]:
    report = DIALECTS[dialect].declare(of_one(schema, required=required), strict=strict).report
    return {loss.kind for loss in report.losses}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "integer", "default": 3}, {"type": "integer", "description": "Default: 3."}),
        ({"type": "string", "minLength": 1, "maxLength": 2}, "At least 1 characters. At most 2 characters."),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "path"}, {"type": "string", "description": "Format: path."}),
        ({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^a+$"}),
        ({"type": "string", "pattern": "^(?!b)a"}, "Matches the regular expression ^(?!b)a."),
        (
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
        ),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": True},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "description": "No item twice."},
        ),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"enum": ["a", 1]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]}),
        (
            {"oneOf": [{"type": "integer"}, {"type": "string"}], "discriminator": {"propertyName": "k"}},
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 2,
                "maxItems": 2,
                "description": "Items in this order: integer, string.",
            },
        ),
        ({"type": "string", "title": "A", "examples": ["x"]}, {"type": "string", "description": 'Examples: "x".'}),
        (
            {"type": "object", "properties": {"b": {"type": "integer"}}},
            {
                "type": "object",
                "properties": {"b": {"anyOf": [{"type": "integer"}, NULL]}},
                "required": ["b"],
                "additionalProperties": False,
            },
        ),
        (
            {"type": "string", "not": {"const": "x"}, "description": "Some words"},
            {"type": "string", "description": 'Some words. Has to fit this JSON Schema: {"not": {"const": "x"}}.'},
        ),
        (
            {"allOf": [{"type": "object", "properties": {"b": {"type": "integer"}}}], "required": ["b"]},
            {
                "type": "object",
                "properties": {"b": {"type": "integer"}},
                "required": ["b"],
                "additionalProperties": False,
            },
        ),
    ],
    ids=str,
)
def test_openais_strict_mode_says_all_that_it_has_no_keyword_for_in_another_way(given: Any, said: Any) -> None:
    expected = {"type": "string", "description": said} if isinstance(said, str) else said
    assert rendered("openai-chat", given, strict=True) == expected
    assert rendered("openai-responses", given, strict=True) == expected
    assert rendered("openai-chat", given) == given  # plain mode takes JSON Schema as it is


def test_an_optional_argument_is_required_and_nullable_in_openais_strict_mode() -> None:
    assert rendered(
        "openai-chat", {"type": "integer", "description": "How many", "default": 2}, strict=True, required=False
    ) == {
        "anyOf": [{"type": "integer"}, NULL],
        "description": "How many. Default: 2.",
    }
    assert kinds("openai-chat", {"type": "integer"}, strict=True, required=False) == {LossKind.NULLABLE}
    declared = DIALECTS["openai-chat"].declare(of_one({"type": "integer"}, required=False), strict=True)
    assert declared.schema["required"] == ["a"]


def test_a_null_that_means_something_is_told_apart_from_leaving_out_or_strict_mode_is_not_used() -> None:
    nullable = {"anyOf": [{"type": "integer"}, NULL]}
    by_default = rendered("openai-chat", {**nullable, "default": None}, strict=True, required=False)
    assert by_default == {**nullable, "description": "Default: null."}
    sendable = rendered("openai-chat", {**nullable, "default": 3}, strict=True, required=False)
    assert sendable == {**nullable, "description": "Default: 3."}
    report = DIALECTS["openai-chat"].declare(of_one(nullable, required=False)).report
    assert not report.strict
    assert report.not_strict is not None
    assert "leaving it out can't be said" in report.not_strict
    forced = DIALECTS["openai-chat"].declare(of_one(nullable, required=False), strict=True).report
    assert (forced.strict, forced.lossless) == (True, False)


def test_words_beside_a_reference_stand_beside_alternatives_where_nothing_may_stand_beside_it() -> None:
    given = {"$ref": "#/$defs/Point", "description": "Where."}
    definitions = {"Point": POINT}
    assert rendered("openai-chat", given, strict=True, **{"$defs": definitions}) == {
        "anyOf": [{"$ref": "#/$defs/Point"}],
        "description": "Where.",
    }
    assert rendered("anthropic", given, strict=True, **{"$defs": definitions})["anyOf"] == [{"$ref": "#/$defs/Point"}]
    assert rendered("openai-chat", given, **{"$defs": definitions}) == given


def test_recursion_is_said_where_it_may_be_and_refused_by_name_or_sent_as_text_elsewhere() -> None:
    tool = of_one({"$ref": "#/$defs/Tree"}, **{"$defs": {"Tree": TREE}})
    for dialect in ("openai-chat", "gemini", "mistral", "cohere", "mcp"):
        assert DIALECTS[dialect].declare(tool).schema["$defs"]["Tree"]["properties"]["below"]["items"] == {
            "$ref": "#/$defs/Tree"
        }
    for dialect in ("anthropic", "bedrock"):
        report = DIALECTS[dialect].declare(tool).report
        assert (report.strict, report.not_strict) == (False, "/properties/a: Tree refers to itself")
    as_text = DIALECTS["gemini-openapi"].declare(tool)
    said = as_text.schema["properties"]["a"]
    assert said["type"] == "string"
    assert said["description"].startswith("JSON text that fits this JSON Schema: ")
    assert [loss.kind for loss in as_text.report.losses if loss.path == "/properties/a"] == [LossKind.TEXT]


@pytest.mark.parametrize(
    "schema", [{"type": "object", "additionalProperties": {"type": "integer"}}, {"type": "object"}]
)
def test_maps_with_open_keys_make_a_tool_plain_where_they_cannot_be_said(schema: dict[str, Any]) -> None:
    for dialect in ("openai-chat", "openai-responses", "anthropic", "bedrock"):
        report = DIALECTS[dialect].declare(of_one(schema)).report
        assert (report.strict, report.not_strict) == (False, "/properties/a: a map with open keys can't be said")
        refused = DIALECTS[dialect].declare(of_one(schema), strict=True).report
        assert refused.refused == "/properties/a: a map with open keys can't be said"
    assert rendered("cohere", schema, strict=True) == schema
    assert rendered("gemini", schema) == schema


def test_unions_of_text_and_structures_are_not_sent_as_text_which_could_be_mistaken() -> None:
    union = {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "integer"}}]}
    report = DIALECTS["gemini-openapi"].declare(of_one(union)).report
    assert report.refused == "/properties/a/anyOf/1: a map with open keys can't be said"
    wrapped = {"type": "object", "properties": {"u": union}, "required": ["u"]}
    assert rendered("gemini-openapi", wrapped)["type"] == "string"  # all of it as text can't be


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "integer", "minimum": 1}, {"type": "integer", "description": "At least 1."}),
        ({"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "uri"}, {"type": "string", "format": "uri"}),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            {"type": "array", "items": {"type": "string"}, "description": "At least 2 items."},
        ),
        (
            {"type": "string", "pattern": r"(a)\1"},
            {"type": "string", "description": r"Matches the regular expression (a)\1."},
        ),
    ],
    ids=str,
)
def test_anthropics_and_bedrocks_strict_mode_keep_no_bounds(given: Any, said: Any) -> None:
    assert rendered("anthropic", given, strict=True) == said
    assert rendered("bedrock", given, strict=True) == said


def test_anthropics_strict_mode_keeps_what_is_optional_and_its_default() -> None:
    declared = DIALECTS["anthropic"].declare(of_one({"type": "integer", "default": 3}, required=False))
    assert declared.report.strict
    assert declared.schema["properties"]["a"] == {"type": "integer", "default": 3}
    assert "required" not in declared.schema


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "string", "const": "a", "title": "A"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "date"}, {"type": "string", "description": "Format: date."}),
        ({"type": "string", "maxLength": 3}, {"type": "string", "description": "At most 3 characters."}),
        ({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 0}),
        ({"type": "boolean", "const": True}, {"type": "boolean", "description": "One of: true."}),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 1, "maxItems": 1},
            {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 1, "maxItems": 1},
        ),
    ],
    ids=str,
)
def test_gemini_takes_json_schema_but_for_some_keywords(given: Any, said: Any) -> None:
    assert rendered("gemini", given) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"anyOf": [{"type": "integer"}, NULL]}, {"nullable": True, "type": "integer"}),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}, NULL]},
            {"nullable": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        ({"type": ["string", "null"], "minLength": 1}, {"nullable": True, "type": "string", "minLength": 1}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "One of: 1, 2."}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "format": "uuid"}, {"type": "string", "description": "Format: uuid."}),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}], "minItems": 2, "maxItems": 2},
            {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 2,
                "maxItems": 2,
                "description": "Items in this order: integer, integer.",
            },
        ),
        ({"$ref": "#/$defs/Point"}, {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}),
    ],
    ids=str,
)
def test_geminis_older_field_is_a_subset_of_openapi(given: Any, said: Any) -> None:
    assert rendered("gemini-openapi", given, **{"$defs": {"Point": POINT}}) == said
    declared = DIALECTS["gemini-openapi"].declare(of_one({"type": "integer"}))
    assert "additionalProperties" not in declared.schema


def test_a_value_that_is_always_null_cannot_be_said_where_there_is_no_such_type() -> None:
    for schema in ({"type": "null"}, {"const": None}, {"enum": [None]}):
        report = DIALECTS["gemini-openapi"].declare(of_one(schema)).report
        assert report.refused == "/properties/a: a value that is always null can't be said"
        assert DIALECTS["openai-chat"].declare(of_one(schema)).report.refused is None


def test_coheres_strict_mode_has_no_bounds_no_anchors_and_four_formats() -> None:
    assert rendered("cohere", {"type": "string", "pattern": "^a$"}, strict=True) == {
        "type": "string",
        "description": "Matches the regular expression ^a$.",
    }
    assert rendered("cohere", {"type": "string", "pattern": "[^a]b"}, strict=True) == {
        "type": "string",
        "pattern": "[^a]b",
    }
    assert rendered("cohere", {"type": "string", "format": "uuid"}, strict=True) == {"type": "string", "format": "uuid"}
    assert rendered("cohere", {"type": "string", "format": "email"}, strict=True) == {
        "type": "string",
        "description": "Format: email.",
    }
    report = DIALECTS["cohere"].declare(of_one({"type": "integer"}, required=False)).report
    assert report.not_strict == "no argument is required"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "a schema that nothing fits"),
        ({"$ref": "https://example.com/schema"}, "leads nowhere"),
        ({"$ref": "#/$defs/Gone"}, "leads nowhere"),
        (
            {"type": "object", "properties": {}, "required": ["b"], "additionalProperties": False},
            "'b' is required and not described",
        ),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "disagree about type"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_the_place(schema: Any, reason: str) -> None:
    report = DIALECTS["openai-chat"].declare(of_one(schema), strict=True).report
    assert report.refused is not None
    assert report.refused.startswith("/properties/a: ")
    assert reason in report.refused


def test_a_tool_whose_name_or_argument_has_a_name_that_a_provider_does_not_take_is_refused_by_it_alone() -> None:
    digit = Plain({"type": "object", "properties": {}, "additionalProperties": False}, name="3d")
    assert DIALECTS["gemini"].declare(digit).report.refused is not None
    assert DIALECTS["openai-chat"].declare(digit).report.refused is None
    odd = Plain({"type": "object", "properties": {"größe": {"type": "integer"}}, "additionalProperties": False})
    assert DIALECTS["anthropic"].declare(odd).report.refused == "'größe' can't be the name of an argument"
    assert DIALECTS["mcp"].declare(odd).report.refused is None


def test_foreign_schemas_with_definitions_and_references_to_the_root_are_understood() -> None:
    old = of_one({"$ref": "#/definitions/P~1q"}, definitions={"P/q": POINT})
    declared = DIALECTS["openai-chat"].declare(old, strict=True)
    assert declared.schema["properties"]["a"] == {"$ref": "#/$defs/P~1q"}
    assert set(declared.schema["$defs"]) == {"P/q"}
    own = Plain(
        {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#"}, NULL]}},
            "required": ["next"],
            "additionalProperties": False,
        }
    )
    assert DIALECTS["openai-chat"].declare(own, strict=True).schema["properties"]["next"]["anyOf"][0] == {"$ref": "#"}
    assert DIALECTS["anthropic"].declare(own, strict=True).report.refused == (
        "/properties/next/anyOf/0: the root refers to itself"
    )


def test_a_report_says_for_people_what_was_changed() -> None:
    tool = of_one({"type": "string", "minLength": 2}, required=False)
    assert str(DIALECTS["openai-chat"].declare(tool).report) == (
        "plain in openai-chat: strict, lossless\n"
        "  /properties/a: minLength described, 2\n"
        "  /properties/a: required nullable, null for leaving it out"
    )
    assert str(DIALECTS["gemini-openapi"].declare(of_one({})).report) == (
        "plain in gemini-openapi: refused, /properties/a: a value of any type can't be said"
    )
    assert "not strict: " in str(DIALECTS["anthropic"].declare(of_one({})).report)
