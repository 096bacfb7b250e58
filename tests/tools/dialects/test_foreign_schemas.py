"""Schemas that come from elsewhere: whatever they hold, a tool is declared or refused, and the others don't suffer."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_tools.dialects import DIALECTS, LossKind, ToolCall, violations

from .described import Plain, of_one

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
REFERENCES = st.sampled_from(
    ["#", "#/$defs/A", "#/$defs/B", "#/properties/a", "#/definitions/A", "#/$defs/Gone", "other"]
)


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any keywords beside one another, sensible or not, each with a value of the kind that it has to have."""
    lists = st.lists(inner, max_size=3)
    named = st.dictionaries(st.sampled_from(["a", "b", "$c"]), inner, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "$ref": REFERENCES,
            "properties": named,
            "required": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "patternProperties": named,
            "items": inner | lists,
            "prefixItems": lists,
            "anyOf": lists,
            "oneOf": lists,
            "allOf": lists,
            "not": inner,
            "if": inner,
            "enum": st.lists(VALUES, max_size=3),
            "const": VALUES,
            "default": VALUES,
            "title": st.text(max_size=2),
            "description": st.text(max_size=2),
            "format": st.text(max_size=4),
            "pattern": st.sampled_from(["^a$", "(?=a)", r"\bа", "(a)\\1"]),
            "minLength": st.integers(0, 3),
            "minItems": st.integers(0, 3),
            "minimum": st.integers(0, 3),
            "uniqueItems": st.booleans(),
            "x-own": VALUES,
        },
    )


SCHEMAS = st.recursive(st.booleans() | st.just({}), combined, max_leaves=6)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@settings(max_examples=40)  # for each of nine dialects
@given(schema=SCHEMAS, a=SCHEMAS, b=SCHEMAS, value=VALUES)
def test_any_schema_is_declared_by_the_rules_or_refused(dialect: Any, schema: Any, a: Any, b: Any, value: Any) -> None:
    described = of_one(schema, **{"$defs": {"A": a, "B": b}})
    for strict in (None, True, False):
        declared = dialect.declare(described, strict=strict)
        report = declared.report
        assert str(report)
        if report.refused is None:
            rules = dialect.strict_rules if report.strict else dialect.rules
            assert violations(declared.schema, rules) == []
            assert set(declared.restored({"a": value})) <= {"a"}


@given(schema=SCHEMAS)
def test_the_schema_of_a_result_is_an_object_for_mcp(schema: Any) -> None:
    output = schema if isinstance(schema, dict) else {}
    described = Plain({"type": "object", "properties": {}}, output_schema=output)
    declared = DIALECTS["mcp"].declare(described)
    assert (
        declared.report.refused is not None
        or declared.payload.get("outputSchema", {"type": "object"})["type"] == "object"
    )


LOOP = {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}


def test_references_that_only_lead_to_one_another_are_refused_and_never_followed_for_ever() -> None:
    described = Plain(
        of_one({"$ref": "#/$defs/A"}, **{"$defs": LOOP}).input_schema,
        output_schema={"$ref": "#/$defs/A", "$defs": LOOP},
    )
    for dialect in DIALECTS.values():
        report = dialect.declare(described).report
        assert report.refused is not None
        assert "only refers to itself" in report.refused


def test_a_small_schema_that_would_grow_beyond_all_bounds_without_references_is_not_said_there() -> None:
    doubling = {
        f"D{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/D{n + 1}"}, {"$ref": f"#/$defs/D{n + 1}"}]}
        for n in range(40)
    }
    described = of_one({"$ref": "#/$defs/D0"}, **{"$defs": {**doubling, "D40": {"type": "integer"}}})
    assert DIALECTS["openai-chat"].declare(described, strict=True).report.refused is None
    report = DIALECTS["gemini-openapi"].declare(described).report
    assert [loss.detail for loss in report.losses if loss.kind is LossKind.TEXT] != []
    assert len(str(DIALECTS["gemini-openapi"].declare(described).payload)) < 100_000


def test_one_bad_tool_does_not_spoil_a_request() -> None:
    good = of_one({"type": "integer"})
    bad = Plain({"type": "array", "items": {}}, name="bad")
    for dialect in DIALECTS.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            offer = dialect.offer([bad, good])
        assert set(offer.skipped) == {"bad"}
        assert offer.request != {}
        (message,) = dialect.write_calls([ToolCall("call00001", "plain", {"a": 1})])
        assert [call.arguments for call in offer.calls(message)] == [{"a": 1}]


def test_the_older_way_to_write_tuples_is_understood() -> None:
    old = of_one({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]})
    new = of_one({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]})
    for dialect in DIALECTS.values():
        assert dialect.declare(old).schema == dialect.declare(new).schema


def test_nulls_are_undone_behind_references_parts_and_older_tuples_as_well() -> None:
    part = {"type": "object", "properties": {"b": {"type": "integer"}}}
    described = of_one(
        {
            "allOf": [{"$ref": "#/$defs/P"}],
            "properties": {"c": {"type": "array", "items": [{"$ref": "#/$defs/P"}]}},
        },
        **{"$defs": {"P": part}},
    )
    declared = DIALECTS["openai-chat"].declare(described, strict=True)
    assert declared.report.refused is None
    sent = {"a": {"b": None, "c": [{"b": None}, {"b": 1}]}}
    assert declared.restored(sent) == {"a": {"c": [{}, {"b": 1}]}}


@pytest.mark.parametrize("name", DIALECTS)
def test_null_for_what_was_left_out_is_undone_also_where_the_schema_did_not_ask_for_it(name: str) -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer"}, "free": {}}}
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "o": {"type": ["integer", "null"]}, "deep": inner},
        "required": ["deep"],
    }
    declared = DIALECTS[name].declare(Plain(schema), strict=False)
    sent = {"n": None, "o": None, "deep": {"n": None, "free": None}}
    assert declared.restored(sent) == {"o": None, "deep": {"free": None}}


def test_a_pattern_that_cant_be_read_does_not_keep_a_call_from_being_read() -> None:
    odd = {"type": "object", "properties": {"s": {"type": "string", "pattern": "\\p{L}("}}}
    schema = {"type": "object", "properties": {"v": {"anyOf": [odd, {**odd, "required": ["s"]}]}}}
    declared = DIALECTS["mcp"].declare(Plain(schema))
    assert declared.restored({"v": {"s": "x"}}) == {"v": {"s": "x"}}
