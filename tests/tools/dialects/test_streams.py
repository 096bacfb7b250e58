"""Calls out of streams: pieces in every order and form that providers and their imitators send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_tools import tool
from constellation_tools.dialects import DIALECTS, ToolCall


@tool
def weather(city: str, days: int = 1) -> str:
    """Forecast the weather."""
    return f"{city}, {days}"


def streamed(dialect: str, events: Sequence[Mapping[str, Any]]) -> tuple[list[ToolCall], list[ToolCall]]:
    """The calls that were complete before the end, and those that only the end completed."""
    stream = DIALECTS[dialect].offer([weather]).stream()
    early = [call for event in events for call in stream.feed(event)]
    return early, stream.finish()


def chunk(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": list(calls)}}]}


def part(text: str | None = None, **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    function = {k: v for k, v in (("name", name), ("arguments", text)) if v is not None}
    return {**more, "function": function}


PIECES = ("", '{"ci', 'ty": "R', 'ome"}')

WHOLE = {"city": "Rome"}


def of_openai(pieces: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"choices": [{"delta": {"role": "assistant", "content": "Let me look."}}]},
        chunk(part("", index=0, id="a", type="function", name="weather")),
        *(chunk(part(piece, index=0)) for piece in pieces),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {}},
    ]


def of_responses(pieces: Sequence[str]) -> list[dict[str, Any]]:
    item = {"type": "function_call", "id": "fc", "call_id": "a", "name": "weather"}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": []}},
        {"type": "response.output_item.added", "output_index": 1, "item": {**item, "arguments": ""}},
        *({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece} for piece in pieces),
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": "".join(pieces)},
        {"type": "response.output_item.done", "output_index": 1, "item": {**item, "arguments": "".join(pieces)}},
    ]


def of_anthropic(pieces: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me look."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "a", "name": "weather", "input": {}},
        },
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_stop"},
    ]


def of_bedrock(pieces: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Let me look."}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "a", "name": "weather"}}}},
        *({"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": piece}}}} for piece in pieces),
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
    ]


def of_cohere(pieces: Sequence[str]) -> list[dict[str, Any]]:
    def delta(call: dict[str, Any]) -> dict[str, Any]:
        return {"message": {"tool_calls": call}}

    start = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    return [
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Look."}}},
        {"type": "tool-call-start", "index": 0, "delta": delta(start)},
        *({"type": "tool-call-delta", "index": 0, "delta": delta({"function": {"arguments": p}})} for p in pieces),
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    ]


def of_mistral(pieces: Sequence[str]) -> list[dict[str, Any]]:
    return [{"data": event} for event in of_openai(pieces)]


STREAMS = {
    "openai-chat": of_openai,
    "openai-responses": of_responses,
    "anthropic": of_anthropic,
    "bedrock": of_bedrock,
    "cohere": of_cohere,
    "mistral": of_mistral,
}
KNOWS_ITS_END = {"openai-responses", "anthropic", "bedrock", "cohere"}


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_call_is_put_together_and_given_as_soon_as_its_end_is_known(dialect: str) -> None:
    early, late = streamed(dialect, STREAMS[dialect](PIECES))
    expected = [ToolCall("a", "weather", WHOLE)]
    assert (early, late) == ((expected, []) if dialect in KNOWS_ITS_END else ([], expected))


@pytest.mark.parametrize("dialect", STREAMS)
@given(
    arguments=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.booleans(), max_size=4),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_it_does_not_matter_where_arguments_are_cut(dialect: str, arguments: dict[str, Any], cuts: list[int]) -> None:
    text = json.dumps(arguments)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    early, late = streamed(dialect, STREAMS[dialect](pieces))
    assert early + late == [ToolCall("a", "weather", arguments)]


@pytest.mark.parametrize("dialect", STREAMS)
def test_arguments_that_break_off_are_told_as_a_problem_of_that_call(dialect: str) -> None:
    early, late = streamed(dialect, STREAMS[dialect](['{"city": "Ro']))
    (call,) = early + late
    assert call.problem is not None
    assert "not valid JSON" in call.problem


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_call_without_any_piece_of_arguments_has_none(dialect: str) -> None:
    early, late = streamed(dialect, STREAMS[dialect]([]))
    assert early + late == [ToolCall("a", "weather", {})]


A, B = ToolCall("a", "weather", {"city": "Rome"}), ToolCall("b", "weather", {"city": "Oslo"})


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [
                chunk(part("", index=0, id="a", name="weather"), part("", index=1, id="b", name="weather")),
                chunk(part('{"city": "Os', index=1)),
                chunk(part('{"city": "Rome"}', index=0), part('lo"}', index=1)),
            ],
            id="interleaved by index",
        ),
        pytest.param(
            [
                chunk(part('{"city": "Ro', index=0, id="a", name="weather")),
                chunk(part('me"}', index=0, id="a")),
                chunk(part('{"city": ', index=0, id="b", name="weather")),
                chunk(part('"Oslo"}', index=0)),
            ],
            id="one index for all",
        ),
        pytest.param(
            [
                chunk(part('{"city": "Ro', id="a", name="weather")),
                chunk(part('{"city": ', id="b", name="weather")),
                chunk(part('me"}', id="a")),
                chunk(part('"Oslo"}', id="b")),
            ],
            id="no index",
        ),
        pytest.param(
            [
                chunk(part('{"city": "Rome"}', id="a", name="weather")),
                chunk(part('{"city": ', id="b", name="weather")),
                chunk(part('"Oslo"}')),
            ],
            id="no index, and ids only at first",
        ),
        pytest.param(
            [
                chunk(part(None, index=0, name="weather")),
                chunk(part('{"city": "Rome"}', index=0, id="a")),
                chunk(part('{"city": "Oslo"}', index=1, id="b", name="weather")),
            ],
            id="the id comes after the name",
        ),
        pytest.param(
            [
                chunk(
                    part({"city": "Rome"}, index=0, id="a", name="weather"),
                    part({"city": "Oslo"}, index=1, id="b", name="weather"),
                ),  # type: ignore[arg-type]
            ],
            id="whole, as objects",
        ),
    ],
)
def test_parallel_calls_are_told_apart_whatever_the_server_says_of_them(events: list[dict[str, Any]]) -> None:
    assert streamed("openai-chat", events) == ([], [A, B])


def test_geminis_calls_come_whole_and_are_counted_through() -> None:
    def event(city: str) -> dict[str, Any]:
        call = {"functionCall": {"name": "weather", "args": {"city": city}}}
        return {"candidates": [{"content": {"parts": [{"text": "and"}, call]}}]}

    early, late = streamed("gemini", [event("Rome"), {"candidates": []}, event("Oslo")])
    assert late == []
    assert [(call.id, call.arguments["city"]) for call in early] == [("nameless-0", "Rome"), ("nameless-1", "Oslo")]


def test_nulls_for_what_was_left_out_are_undone_in_streams_too() -> None:
    early, late = streamed("openai-chat", of_openai(['{"city": "Rome", "days": null}']))
    assert early + late == [A]


def test_mcp_does_not_stream() -> None:
    assert streamed("mcp", [{"method": "tools/call"}]) == ([], [])
