"""Several tools in one request: what a provider can't take is left out, and limits of requests are kept."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from constellation_tools import Toolset, ToolSkipped, tool
from constellation_tools.dialects import DIALECTS

from .described import Plain

INTEGER = {"type": "integer"}


def described(name: str, *, optional: int = 0, unions: int = 0, required: int = 1) -> Plain:
    properties: dict[str, Any] = {f"r{i}": INTEGER for i in range(required)}
    names = list(properties)
    properties |= {f"o{i}": INTEGER for i in range(optional)}
    properties |= {f"u{i}": {"anyOf": [INTEGER, {"type": "string"}]} for i in range(unions)}
    names += [f"u{i}" for i in range(unions)]
    schema = {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
    return Plain(schema, name=name)


@tool
def good(n: int) -> int:
    """Good."""
    return n


@tool
def anything(x: Any) -> None:
    """Take anything."""


def test_a_tool_that_a_provider_cannot_take_is_skipped_with_a_warning_and_the_others_are_offered() -> None:
    with pytest.warns(
        ToolSkipped, match=r"^anything is not offered: /properties/x: a value of any type can't be said$"
    ):
        offer = DIALECTS["gemini-openapi"].offer(Toolset([good, anything]))
    assert offer.skipped == {"anything": "/properties/x: a value of any type can't be said"}
    assert [d["name"] for d in offer.request["tools"][0]["functionDeclarations"]] == ["good"]
    assert [report.tool for report in offer.reports] == ["good", "anything"]


def test_a_second_tool_of_one_name_is_skipped() -> None:
    with pytest.warns(ToolSkipped, match="good is not offered: another tool of the request has this name"):
        offer = DIALECTS["openai-chat"].offer([good, described("good")])
    (declared,) = offer.request["tools"]
    assert list(declared["function"]["parameters"]["properties"]) == ["n"]


def test_strict_mode_is_used_by_tool_and_not_by_request() -> None:
    tools = DIALECTS["openai-chat"].offer([good, anything]).request["tools"]
    assert [each["function"].get("strict", False) for each in tools] == [True, False]


def test_an_offer_without_tools_asks_for_nothing() -> None:
    assert DIALECTS["openai-chat"].offer([]).request == {}


def test_more_strict_tools_than_a_request_may_hold_are_offered_plain() -> None:
    tools = [described(f"t{i}") for i in range(22)]
    offer = DIALECTS["anthropic"].offer(tools)
    assert [report.strict for report in offer.reports] == [True] * 20 + [False] * 2
    assert offer.reports[20].not_strict == "more than 20 strict tools"
    with pytest.warns(ToolSkipped, match="more than 20 strict tools"):
        forced = DIALECTS["anthropic"].offer(tools, strict=True)
    assert set(forced.skipped) == {"t20", "t21"}


def test_optional_arguments_and_unions_of_strict_tools_are_counted_over_the_request() -> None:
    optional = DIALECTS["anthropic"].offer([described("a", optional=20), described("b", optional=5), described("c")])
    assert [report.strict for report in optional.reports] == [True, False, True]
    assert optional.reports[1].not_strict == "more than 24 optional properties of strict tools"
    unions = DIALECTS["bedrock"].offer([described("a", unions=16), described("b", unions=1)])
    assert [report.strict for report in unions.reports] == [True, False]


def test_coheres_strict_mode_is_for_all_tools_or_for_none() -> None:
    strict = DIALECTS["cohere"].offer([described("a"), described("b", optional=1)])
    assert strict.request["strict_tools"] is True
    mixed = DIALECTS["cohere"].offer([described("a"), described("b", required=0)])
    assert "strict_tools" not in mixed.request
    assert [report.not_strict for report in mixed.reports] == [
        "strict mode is for all tools of a request, and not all of them can be strict together"
    ] * 2
    large = DIALECTS["cohere"].offer([described("a", required=150), described("b", required=51)])
    assert "strict_tools" not in large.request
    with pytest.warns(ToolSkipped, match="more than 200 properties of strict tools"):
        forced = DIALECTS["cohere"].offer([described("a", required=150), described("b", required=51)], strict=True)
    assert [each["function"]["name"] for each in forced.request["tools"]] == ["a"]


def test_more_tools_than_a_request_may_hold_are_skipped() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        offer = DIALECTS["openai-chat"].offer([described(f"t{i}") for i in range(130)])
    assert [str(warning.message) for warning in told] == [
        "t128 is not offered: more than 128 tools",
        "t129 is not offered: more than 128 tools",
    ]
    assert len(offer.request["tools"]) == 128


def test_strict_mode_where_there_is_none_is_refused() -> None:
    for dialect in ("gemini", "gemini-openapi", "mistral", "mcp"):
        assert DIALECTS[dialect].declare(good, strict=True).report.refused == "there is no strict mode"


def test_a_tool_without_arguments_says_nothing_of_them_to_gemini_and_is_never_without_description_for_bedrock() -> None:
    nothing = Plain({"type": "object", "properties": {}, "additionalProperties": False}, description="")
    assert DIALECTS["gemini"].declare(nothing).payload == {"name": "plain", "description": ""}
    assert DIALECTS["bedrock"].declare(nothing).payload["toolSpec"]["description"] == "plain"


def test_openais_own_types_accept_what_is_declared() -> None:
    from openai.types.chat import ChatCompletionFunctionToolParam
    from openai.types.responses import FunctionToolParam
    from pydantic import TypeAdapter

    (chat,) = DIALECTS["openai-chat"].offer([good]).request["tools"]
    (flat,) = DIALECTS["openai-responses"].offer([good]).request["tools"]
    assert TypeAdapter(ChatCompletionFunctionToolParam).validate_python(chat) == chat
    assert TypeAdapter(FunctionToolParam).validate_python(flat) == flat
