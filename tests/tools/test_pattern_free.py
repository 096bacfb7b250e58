"""Schemas without patterns: nothing that the whole schema takes is refused, and what takes forever is gone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from constellation_tools.pattern_free import without_patterns

SLOW = {"pattern": "^(a+)+$"}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "freed"),
    [
        (
            {"properties": {"a": SLOW, "b": {"anyOf": [SLOW, NULL]}}},
            {"a": {}, "b": {"anyOf": [{}, NULL]}},
        ),
        ({"properties": {"pattern": {"type": "string"}, "format": {}}}, {"pattern": {"type": "string"}, "format": {}}),
    ],
)
def test_keywords_go_and_names_stay(schema: dict[str, Any], freed: dict[str, Any]) -> None:
    assert without_patterns(schema) == {"properties": freed}


@pytest.mark.parametrize(
    ("schema", "freed"),
    [
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {}),
        ({"not": SLOW, "type": "string"}, {"type": "string"}),
        ({"not": NULL}, {"not": NULL}),
        ({"oneOf": [SLOW, NULL]}, {"allOf": [{"anyOf": [{}, NULL]}]}),
        ({"oneOf": [{"type": "string"}, NULL]}, {"oneOf": [{"type": "string"}, NULL]}),
        ({"if": SLOW, "then": {"minLength": 9}, "else": False}, {}),
        ({"if": {"type": "string"}, "then": SLOW}, {"if": {"type": "string"}, "then": {}}),
        ({"contains": SLOW, "maxContains": 1, "type": "array"}, {"type": "array"}),
        ({"allOf": [{"patternProperties": {"^x": {}}}], "unevaluatedProperties": False}, {"allOf": [{}]}),
        ({"$defs": {"p": SLOW}, "not": {"$ref": "#/$defs/p"}}, {"$defs": {"p": {}}}),
        ({"$defs": {"p": SLOW}, "oneOf": [NULL]}, {"$defs": {"p": {}}, "oneOf": [NULL]}),
        ({"$defs": {"p": NULL}, "not": {"$ref": "#/$defs/p"}}, {"$defs": {"p": NULL}, "not": {"$ref": "#/$defs/p"}}),
    ],
)
def test_what_would_take_less_without_them_goes_too(schema: dict[str, Any], freed: dict[str, Any]) -> None:
    kept = deepcopy(schema)
    assert without_patterns(schema) == freed
    assert schema == kept


KEYWORDS = ["not", "if", "then", "else", "contains", "items", "additionalProperties", "unevaluatedProperties"]
LEAVES = st.sampled_from([{}, SLOW, {"pattern": "b"}, {"type": "string"}, NULL, {"const": "b"}, True, False])
NAMES = st.sampled_from(["a", "b", "pattern", "format"])
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda part: (
        st.dictionaries(
            st.sampled_from(KEYWORDS),
            part,
            max_size=3,
        )
        | st.fixed_dictionaries({"oneOf": st.lists(part, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"anyOf": st.lists(part, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"properties": st.dictionaries(NAMES, part, max_size=2), "additionalProperties": part})
        | st.fixed_dictionaries(
            {"patternProperties": st.dictionaries(NAMES, part, max_size=2), "unevaluatedProperties": part}
        )
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.sampled_from(["a", "b", None, 1]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(NAMES, part, max_size=3),
    max_leaves=5,
)


@given(SCHEMAS, VALUES)
def test_all_that_the_whole_schema_takes_is_taken(schema: Any, value: Any) -> None:
    whole = {"$defs": {"p": SLOW}, "allOf": [schema]}
    if Draft202012Validator(whole).is_valid(value):
        assert Draft202012Validator(without_patterns(whole)).is_valid(value)
