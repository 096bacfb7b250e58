"""Generated signatures in every dialect: the schemas keep the documented rules, and arguments survive the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_tools.dialects import DIALECTS, Dialect, LossKind, ToolCall, violations

from .generated import Generated
from .obedient import CannotSay, fits, obey

SIGNATURES = 500

REASONS = {
    "openai-chat": ["a map with open keys can't be said", "a value of any type can't be said"],
    "openai-responses": ["a map with open keys can't be said", "a value of any type can't be said"],
    "anthropic": ["a map with open keys can't be said", "a value of any type can't be said", "Tree refers to itself"],
    "bedrock": ["a map with open keys can't be said", "a value of any type can't be said", "Tree refers to itself"],
    "cohere": ["no argument is required"],
    "gemini": [],
    "gemini-live": [],
    "gemini-openapi": [
        "a value of any type can't be said",
        "a map with open keys can't be said",
        "Tree refers to itself",
    ],
    "mistral": [],
    "mcp": [],
}
"""Why a dialect's strictest mode refuses a generated signature: no other reason is a good one."""

MOST_TRIED = 1_100
"""How many signatures may be drawn until 500 are accepted, so that refusing most would not pass."""


@cache
def drawn(seed: int) -> Generated:
    return Generated(Random(seed))


def completed(arguments: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """Arguments with the defaults in them that null can't stand for, as a model reads them in descriptions."""
    if not isinstance(schema, Mapping) or not isinstance(arguments, dict | list):
        return arguments
    if "$ref" in schema:
        return completed(arguments, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for branch in schema.get("anyOf", schema.get("oneOf", ())):
        if fits(arguments, branch, root):
            return completed(arguments, branch, root)
    if isinstance(arguments, list):
        prefix, rest = schema.get("prefixItems", ()), schema.get("items")
        return [completed(item, prefix[i] if i < len(prefix) else rest, root) for i, item in enumerate(arguments)]
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    given = {name: completed(value, properties.get(name, others), root) for name, value in arguments.items()}
    defaults = {
        name: below["default"]
        for name, below in properties.items()
        if name not in given and below.get("default") is not None and fits(None, below, root)
    }
    return {**given, **defaults}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_500_generated_signatures_keep_the_rules_and_those_refused_are_for_a_reason(dialect: Dialect) -> None:
    rules = dialect.strict_rules or dialect.rules
    strict = dialect.strict_rules is not None
    accepted = 0
    for seed in range(MOST_TRIED):
        tool = drawn(seed).tool
        declared = dialect.declare(tool, strict=strict)
        if declared.report.refused is not None:
            reason = declared.report.refused.partition(": ")[2] or declared.report.refused
            assert reason in REASONS[dialect.name], (tool.input_schema, declared.report.refused)
            continue
        assert violations(declared.schema, rules) == [], tool.input_schema
        assert declared.report.strict is strict
        accepted += 1
        if accepted == SIGNATURES:
            break
    assert accepted == SIGNATURES


@pytest.mark.parametrize("dialect", [d for d in DIALECTS.values() if d.strict_rules is not None], ids=lambda d: d.name)
def test_plain_mode_takes_every_generated_signature(dialect: Dialect) -> None:
    for seed in range(SIGNATURES):
        declared = dialect.declare(drawn(seed).tool, strict=False)
        assert declared.report.refused is None
        assert violations(declared.schema, dialect.rules) == []


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@settings(max_examples=50)  # for each of nine dialects, in three modes
@given(rng=st.randoms(use_true_random=False))
def test_arguments_that_fit_survive_the_round_trip(dialect: Dialect, rng: Random) -> None:
    generated = Generated(rng)
    arguments = generated.arguments(rng)
    schema = generated.tool.input_schema
    assert fits(arguments, schema, schema)
    wanted = generated.received_for(arguments)
    for strict in (None, True, False):
        declared = dialect.declare(generated.tool, strict=strict)
        if not declared.report.lossless:
            assert declared.report.refused or any(loss.kind is LossKind.NARROWED for loss in declared.report.losses)
            continue
        said = obey(completed(arguments, schema, schema), declared.schema)
        offer = dialect.offer([generated.tool], strict=strict)
        (message,) = dialect.write_calls([ToolCall("call00001", generated.tool.name, said)])
        (call,) = offer.calls(message)
        assert (call.id, call.name, call.problem) == ("call00001", "drawn", None)
        assert repr(generated.received_for(call.arguments)) == repr(wanted)


@settings(max_examples=50)
@given(rng=st.randoms(use_true_random=False))
def test_what_strict_mode_is_used_for_by_itself_is_lossless(rng: Random) -> None:
    generated = Generated(rng)
    for dialect in DIALECTS.values():
        report = dialect.declare(generated.tool).report
        assert not report.strict or report.lossless
        if dialect.strict_rules is not None and not report.strict:
            assert report.not_strict


def test_the_obedient_model_bites() -> None:
    with pytest.raises(CannotSay):
        obey({"a": {"b": 1}}, {"type": "object", "properties": {"a": {"type": "string"}}})
    with pytest.raises(CannotSay):
        obey({"a": 1}, {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}})
    with pytest.raises(CannotSay):
        obey({"a": 1}, {"type": "object", "properties": {}, "additionalProperties": False})
    assert re.fullmatch(
        r"\{.*\}", obey({"a": {}}, {"properties": {"a": {"type": "string", "description": "JSON text"}}})["a"]
    )
