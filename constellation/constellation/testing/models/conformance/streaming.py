"""Streams: pieces come as they are sent, add up to the whole, and tell when they break off."""

from __future__ import annotations

import anyio
import pytest

from ....llm import ConnectionLost, Delta, LLMError, Model, ReasoningDelta, TextDelta
from ..answers import Gate, Raw, Reply
from .base import PATIENCE_S, ModelChecks, OpenModel, ask, conversing, streamed


class StreamingChecks(ModelChecks):
    """Streams: pieces come as they are sent, add up to the whole, and tell when they break off."""

    async def test_pieces_add_up_to_the_whole(self, open_model: OpenModel) -> None:
        text = "one two three four"
        async with conversing(open_model, Reply(text, pieces=6)) as (_, model):
            deltas, response = await streamed(model, ask())
        assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == text == response.text
        assert len(deltas) > 1

    async def test_a_stream_ends_with_what_a_whole_answer_would_have_been(self, open_model: OpenModel) -> None:
        reply = Reply("the same", reasoning="thinking")
        async with conversing(open_model, reply, reply) as (_, model):
            whole = await model.respond(ask())
            _, response = await streamed(model, ask())
        assert (response.message, response.finish_reason) == (whole.message, whole.finish_reason)
        assert response.usage == whole.usage

    async def test_a_piece_comes_before_the_next_is_sent(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=2)
        async with conversing(open_model, Reply("a b c d e f", pieces=6, gate=gate)) as (_, model):
            with anyio.fail_after(PATIENCE_S):
                async with model.stream(ask()) as stream:
                    first = await anext(aiter(stream))
                    assert not gate.opened.is_set()
                    gate.opened.set()
                    rest = [delta async for delta in stream]
        texts = [delta.text for delta in [first, *rest] if isinstance(delta, TextDelta)]
        assert "".join(texts) == "a b c d e f"

    async def test_the_whole_is_not_there_before_the_end(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("a b c d e f", pieces=6)) as (_, model), model.stream(ask()) as stream:
            await anext(aiter(stream))
            with pytest.raises(RuntimeError, match="not whole yet"):
                _ = stream.response

    async def test_reasoning_comes_in_pieces_of_its_own(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("42", reasoning="six times seven")) as (_, model):
            deltas, response = await streamed(model, ask())
        assert "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta)) == "six times seven"
        assert response.message.reasoning == "six times seven"

    async def test_an_empty_stream_is_an_answer(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("")) as (_, model):
            deltas, response = await streamed(model, ask())
        assert ([d for d in deltas if getattr(d, "text", "")], response.text) == ([], "")
        assert response.finish_reason == "stop"

    async def test_a_stream_that_is_cut_says_so_and_is_not_asked_for_again(self, open_model: OpenModel) -> None:
        reply = Reply("a b c d e f", pieces=6, break_after=3)
        async with conversing(open_model, reply) as (server, model):
            shown: list[Delta] = []
            with pytest.raises(ConnectionLost):
                await collect(model, shown)
            assert shown
            assert len(server.requests) == 1

    async def test_a_stream_that_is_cut_before_its_first_piece_is_asked_for_again(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("lost", break_after=0), "found") as (server, model):
            _, response = await streamed(model, ask())
            assert len(server.requests) == 2
        assert response.text == "found"

    async def test_a_stream_that_is_no_json_is_an_error_of_ours(self, open_model: OpenModel) -> None:
        garbled = Raw(b"data: {nonsense\n\ndata: [DONE]\n\n", media_type="text/event-stream")
        async with conversing(open_model, rules=[lambda seen: garbled]) as (_, model):
            with pytest.raises(LLMError):
                await streamed(model, ask())

    async def test_an_error_within_a_stream_is_an_error_of_ours(self, open_model: OpenModel) -> None:
        event = b'data: {"error": {"message": "the engine died", "code": 500}}\n\n'
        async with conversing(open_model, rules=[lambda seen: Raw(event, media_type="text/event-stream")]) as (
            _,
            model,
        ):
            with pytest.raises(LLMError, match="the engine died"):
                await streamed(model, ask())


async def collect(model: Model, shown: list[Delta]) -> None:
    """Keep the deltas of a stream as they come."""
    async with model.stream(ask()) as stream:
        async for delta in stream:
            shown.append(delta)
