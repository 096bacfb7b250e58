"""A scripted model answers what its script says, and sees that all of it was asked for."""

from __future__ import annotations

import pytest

from constellation.llm import Model, ModelRequest, RateLimited, Reasoning, Text, ToolUse, ToolUseDelta, user
from constellation.testing import UnexpectedStep, UnusedSteps
from constellation.testing.models import Called, Reply, ScriptedModel

pytestmark = pytest.mark.anyio


def ask(text: str = "hi") -> ModelRequest:
    return ModelRequest((user(text),))


async def test_steps_are_answered_in_order_and_requests_remembered() -> None:
    reply = Reply("see", reasoning="hm", calls=(Called("f", {"a": 1}),))
    with ScriptedModel(["one", reply, lambda request: f"you said {request.messages[-1].text}"]) as model:
        assert isinstance(model, Model)
        assert (await model.respond(ask())).text == "one"
        response = await model.respond(ask())
        assert response.message.parts == (Reasoning("hm"), Text("see"), ToolUse("call_2_0", "f", '{"a": 1}'))
        assert response.finish_reason == "tool_use"
        assert (await model.respond(ask("yes"))).text == "you said yes"
        assert [request.messages[0].text for request in model.requests] == ["hi", "hi", "yes"]
        await model.aclose()


async def test_a_stream_has_the_pieces_of_the_answer() -> None:
    with ScriptedModel([Reply(calls=(Called("f"), Called("g")))]) as model:
        async with model.stream(ask()) as stream:
            deltas = [delta async for delta in stream]
    assert deltas == [ToolUseDelta(0, "call_1_0", "f", "{}"), ToolUseDelta(1, "call_1_1", "g", "{}")]


async def test_a_step_may_be_an_error() -> None:
    with ScriptedModel([RateLimited("slowly"), lambda request: RateLimited("again")]) as model:
        for words in ("slowly", "again"):
            with pytest.raises(RateLimited, match=words):
                await model.respond(ask())


async def test_a_request_too_many_is_told_then_and_in_the_end() -> None:
    model = ScriptedModel([])
    with pytest.raises(UnexpectedStep, match="asked 'hi', but the script is at its end"):
        await model.respond(ask())
    with pytest.raises(UnexpectedStep):
        model.check_used_up()


async def test_a_step_too_many_is_told_in_the_end() -> None:
    model = ScriptedModel(["one", "two", "three"])
    await model.respond(ask())
    assert model.remaining == 2
    with pytest.raises(UnusedSteps, match="2 steps"), model:
        pass


async def test_an_error_of_the_test_is_not_hidden_by_steps_that_are_left() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedModel(["one"]):
        raise ZeroDivisionError
