"""Answers as servers really write them: calls without an index, ids that repeat, signatures in pieces, nonsense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.llm import ConnectionLost, MalformedResponse, Prices, ServerFault, ToolSpec, ToolUseDelta
from constellation.llm.wire.responses import Reading, read_usage
from constellation.llm.wire.tools import offered


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


def test_ids_that_are_made_up_for_every_piece_do_not_part_a_call() -> None:
    found = calls_of(
        chunk(tool_calls=[call(index=0, id="one", name="f"), call(index=1, id="two", name="g")]),
        chunk(tool_calls=[call('{"a"', index=0, id="random-1"), call('{"b"', index=1, id="random-2")]),
        chunk(tool_calls=[call(":2}", index=1, id="random-3")]),
        chunk(tool_calls=[call(":1}", index=0, id="random-4")]),
    )
    assert found == [("one", "f", '{"a":1}'), ("two", "g", '{"b":2}')]


@pytest.mark.parametrize("more", [{"id": "one"}, {}])
def test_a_name_in_pieces_is_put_together(more: dict[str, str]) -> None:
    found = calls_of(
        chunk(tool_calls=[call(index=0, id="one", name="get_")]),
        chunk(tool_calls=[call(index=0, name="weather", **more)]),
        chunk(tool_calls=[call('{"a":', index=0, **more)]),
        chunk(tool_calls=[call("1}", index=0, **more)]),
    )
    assert found == [("one", "get_weather", '{"a":1}')]


def test_a_name_that_is_repeated_in_every_piece_stays_as_it_is() -> None:
    found = calls_of(*(chunk(tool_calls=[call(text, index=0, name="f")]) for text in ("", "", '{"a"', ":1", "}")))
    assert [each[1:] for each in found] == [("f", '{"a":1}')]


def test_calls_without_index_id_and_arguments_are_told_apart_by_the_tools_there_are() -> None:
    tools = offered(tuple(ToolSpec(name, name, {"type": "object"}) for name in ("clock", "where")), "p")
    both = [call(name="clock"), call(name="where")]
    for chunks in ([chunk(tool_calls=both)], [chunk(tool_calls=[each]) for each in both]):
        reading = Reading("p", tools=tools)
        for each in chunks:
            reading.feed(each)
        assert [use.name for use in reading.response().message.tool_uses] == ["clock", "where"]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.booleans()), max_size=12),
    st.sampled_from(["once", "always", "made up"]),
)
def test_calls_that_come_in_turns_cut_anywhere_are_put_together(cuts: list[tuple[int, int, bool]], ids: str) -> None:
    """Each piece has its index; ids are told once, each time, or made up anew each time."""
    wanted = [("id-0", "first", '{"a": "\\u00e9\\"\\\\ \U0001f600"}'), ("id-1", "second", "{}")]
    left = [arguments for _, _, arguments in wanted]
    pieces = [call(index=index, id=id, name=name) for index, (id, name, _) in enumerate(wanted)]
    chunks = []
    for number, (index, size, more) in enumerate([*cuts, (0, 100, False), (1, 100, False)]):
        told = {"once": {}, "always": {"id": wanted[index][0]}, "made up": {"id": f"x-{number}"}}[ids]
        pieces.append(call(left[index][:size], index=index, **told))
        left[index] = left[index][size:]
        if not more:
            chunks.append(chunk(tool_calls=pieces))
            pieces = []
    assert calls_of(*chunks) == wanted


def test_halves_of_a_character_in_arguments_can_be_shown_and_are_joined() -> None:
    reading = Reading("p")
    pieces = [call('{"a":"\ud83d', index=0, name="f"), call('\ude00"}', index=0)]
    deltas = [delta for piece in pieces for delta in reading.feed(chunk(tool_calls=[piece]))]
    assert all(getattr(delta, "arguments", "").encode() for delta in deltas)
    assert reading.response().message.tool_uses[0].arguments == '{"a":"\U0001f600"}'


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


def test_an_answer_that_tells_no_usage_costs_nobody_knows_what() -> None:
    reading = Reading("p", prices=Prices.of("2", "8"))
    response = reading.take({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
    assert (response.usage.total_tokens, response.usage.cost_usd) == (0, None)


def test_usage_with_nothing_in_it_takes_nothing_back() -> None:
    reading = Reading("p")
    reading.feed({**chunk(content="x"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    reading.feed({**chunk("stop"), "usage": {}})
    assert reading.response().usage.total_tokens == 5


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_what_the_provider_gave_up_is_no_answer(reason: str) -> None:
    with pytest.raises(ServerFault, match="gave the answer up"):
        Reading("p").take({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]})
