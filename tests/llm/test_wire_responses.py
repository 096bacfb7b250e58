"""Answers as servers really write them: calls without an index, ids that repeat, signatures in pieces, nonsense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from constellation.llm import ConnectionLost, MalformedResponse, Prices, ToolUseDelta
from constellation.llm.wire.responses import Reading, read_usage


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"model": "m", "id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(arguments: str = "", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return {"function": function, **more}


def calls_of(*chunks: dict[str, Any]) -> list[tuple[str, str, str]]:
    reading = Reading("p")
    for each in chunks:
        reading.feed(each)
    return [(use.id, use.name, use.arguments) for use in reading.response().message.tool_uses]


def test_calls_that_all_have_the_index_0_are_told_apart_by_their_ids() -> None:
    found = calls_of(
        chunk(tool_calls=[call('{"a":1}', index=0, id="one", name="f")]),
        chunk(tool_calls=[call('{"b":2}', index=0, id="two", name="f")]),
        chunk("tool_calls"),
    )
    assert found == [("one", "f", '{"a":1}'), ("two", "f", '{"b":2}')]


def test_an_id_that_is_repeated_in_every_piece_is_one_call() -> None:
    found = calls_of(
        chunk(tool_calls=[call('{"a"', index=0, id="one", name="f")]),
        chunk(tool_calls=[call(":1}", index=0, id="one", name="f")]),
    )
    assert found == [("one", "f", '{"a":1}')]


def test_a_call_without_an_id_gets_one() -> None:
    assert calls_of(chunk(tool_calls=[call("", index=0, name="f")])) == [("call_0", "f", "{}")]


def test_ids_that_are_left_out_or_repeated_differ_from_all_others_of_the_conversation() -> None:
    taken: list[str] = []
    for _ in range(3):  # answers of a server that gives none, and of one that gives the same ones each time
        reading = Reading("p", taken=taken)
        reading.feed(chunk(tool_calls=[call("", index=0, name="f"), call("", index=1, name="g", id="call_1")]))
        taken += [use.id for use in reading.response().message.tool_uses]
    assert len(set(taken)) == 6
    assert all(taken)


def test_an_id_that_comes_late_belongs_to_the_call_that_waits_for_it() -> None:
    found = calls_of(
        chunk(tool_calls=[call("{", index=0, name="f")]), chunk(tool_calls=[call("}", index=0, id="late")])
    )
    assert found == [("late", "f", "{}")]


def test_whole_calls_without_indices_are_told_apart_by_their_order() -> None:
    message = {"tool_calls": [call("{}", id="a", name="f"), call("{}", id="b", name="g")]}
    response = Reading("p").take({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert [use.id for use in response.message.tool_uses] == ["a", "b"]
    assert response.finish_reason == "tool_use"


def test_a_call_without_a_name_is_malformed() -> None:
    with pytest.raises(MalformedResponse, match="no name"):
        calls_of(chunk(tool_calls=[call("{}", index=0, id="one")]))


def test_deltas_are_numbered_by_call_whatever_the_server_numbers() -> None:
    reading = Reading("p")
    first = reading.feed(chunk(tool_calls=[call("", index=7, id="a", name="f")]))
    second = reading.feed(chunk(tool_calls=[call("{}", index=7)]))
    assert [*first, *second] == [ToolUseDelta(0, "a", "f"), ToolUseDelta(0, "", "", "{}")]


def test_signed_reasoning_in_pieces_becomes_whole_blocks() -> None:
    reading = Reading("anthropic")
    pieces = [
        {"type": "thinking", "thinking": "let ", "signature": ""},
        {"type": "thinking", "thinking": "me"},
        {"type": "thinking", "thinking": "", "signature": "sig1"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "thinking", "thinking": "more", "signature": "sig2"},
    ]
    for piece in pieces:
        reading.feed(chunk(reasoning_content=piece.get("thinking"), thinking_blocks=[piece]))
    (reasoning,) = reading.response().message.parts
    assert getattr(reasoning, "opaque", None) == (
        {"type": "thinking", "thinking": "let me", "signature": "sig1"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "thinking", "thinking": "more", "signature": "sig2"},
    )
    assert getattr(reasoning, "provider", None) == "anthropic"


def test_a_refusal_is_told_as_one() -> None:
    message = {"content": None, "refusal": "I won't."}
    response = Reading("p").take({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert (response.finish_reason, response.text) == ("refused", "I won't.")


@pytest.mark.parametrize("answer", [{}, {"choices": "no"}, {"choices": [1]}, {"choices": [{"message": "x"}]}])
def test_what_is_no_completion_is_malformed(answer: Any) -> None:
    with pytest.raises(MalformedResponse):
        Reading("p").take(answer)


def test_a_chunk_that_is_none_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        Reading("p").feed({"choices": [None]})


def test_usage_of_other_providers_names_what_was_cached() -> None:
    usage = read_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 30,
            "cost": 0.0125,
        }
    )
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.cost_usd) == (60, 30, Decimal("0.0125"))
    assert read_usage({"cost": "much"}).cost_usd is None


def test_prices_are_applied() -> None:
    reading = Reading("p", prices=Prices.of("2", "8", cached="0.5"))
    details = {"cached_tokens": 400_000}
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "prompt_tokens_details": details}
    response = reading.take({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage})
    assert response.usage.cost_usd == Decimal("1.2") + Decimal("0.2") + Decimal("4")


def test_connection_lost_says_who() -> None:
    assert str(ConnectionLost("gone", provider="vllm", status=502)) == "vllm answered 502: gone"
