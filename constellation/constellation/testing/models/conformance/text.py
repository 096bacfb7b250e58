"""Text: what is asked arrives as it was meant, and what is answered comes back as it was said."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from ....llm import InvalidRequest, Message, ModelRequest, Text, ToolResult, assistant, system, user
from ..answers import Fault, Reply, SeenRequest
from .base import PATIENCE_S, ModelChecks, OpenModel, ask, conversing


class TextChecks(ModelChecks):
    """Text: what is asked arrives as it was meant, and what is answered comes back as it was said."""

    async def test_an_answer_comes_back_as_it_was_said(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "Good morning.") as (_, model):
            response = await model.respond(ask("Hello?"))
        assert response.message == Message("assistant", (Text("Good morning."),))
        assert (response.finish_reason, response.output) == ("stop", None)

    async def test_an_answer_tells_the_model_and_an_id(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "yes") as (_, model):
            response = await model.respond(ask())
        assert "scripted" in response.model
        assert response.id

    async def test_messages_arrive_in_order_with_their_roles(self, open_model: OpenModel) -> None:
        messages = (system("Be brief."), user("One?"), assistant("1"), user("Two?"))
        async with conversing(open_model, "2") as (server, model):
            await model.respond(ModelRequest(messages))
            sent = server.requests[0].messages
        assert [(message["role"], message["content"]) for message in sent] == [
            ("system", "Be brief."),
            ("user", "One?"),
            ("assistant", "1"),
            ("user", "Two?"),
        ]

    @pytest.mark.parametrize(
        "text", ["naïve – 東京 🚀", "line\u2028separators\u2029and\x85more", '"quotes" \\ and\nlines', "data: [DONE]"]
    )
    async def test_text_of_any_kind_comes_back_whole(self, open_model: OpenModel, text: str) -> None:
        async with conversing(open_model, Reply(text), Reply(text, pieces=50)) as (server, model):
            whole = await model.respond(ask(text))
            async with model.stream(ask(text)) as stream:
                async for _ in stream:
                    pass
                pieces = stream.response
            assert server.requests[0].messages[-1]["content"] == text
        assert (whole.text, pieces.text) == (text, text)

    async def test_limits_are_sent(self, open_model: OpenModel) -> None:
        request = replace(ask(), max_tokens=17, temperature=0.25, stop=("END",))
        async with conversing(open_model, "x") as (server, model):
            await model.respond(request)
            sent = server.requests[0].body
        assert 17 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        assert (sent["temperature"], sent["stop"]) == (0.25, ["END"])

    async def test_what_was_not_asked_for_is_not_sent(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "x") as (server, model):
            await model.respond(ask())
            sent = server.requests[0].body
        assert {"tools", "tool_choice", "response_format", "temperature", "stop", "max_tokens"} & set(sent) == set()

    @pytest.mark.parametrize(("said", "meant"), [("length", "length"), ("content_filter", "refused"), ("stop", "stop")])
    async def test_the_reason_of_the_end_is_told(self, open_model: OpenModel, said: str, meant: str) -> None:
        async with conversing(open_model, Reply("cut o", finish=said)) as (_, model):
            assert (await model.respond(ask())).finish_reason == meant

    async def test_reasoning_is_told_apart_from_the_answer(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("42", reasoning="six times seven")) as (_, model):
            message = (await model.respond(ask())).message
        assert (message.text, message.reasoning) == ("42", "six times seven")

    async def test_an_empty_answer_is_an_answer(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("")) as (_, model):
            response = await model.respond(ask())
        assert (response.text, response.finish_reason) == ("", "stop")

    async def test_requests_at_once_get_their_own_answers(self, open_model: OpenModel) -> None:
        def echo(seen: SeenRequest) -> str:
            return f"you said {seen.messages[-1]['content']}"

        answers: dict[str, str] = {}
        async with conversing(open_model, rules=[echo]) as (_, model):

            async def one(text: str) -> None:
                answers[text] = (await model.respond(ask(text))).text

            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as group:
                    for number in range(12):
                        group.start_soon(one, f"number {number}")
        assert answers == {f"number {number}": f"you said number {number}" for number in range(12)}

    async def test_what_a_role_can_not_say_is_refused_before_it_is_sent(self, open_model: OpenModel) -> None:
        request = ModelRequest((Message("system", (ToolResult.of("call", "x"),)), user("hi")))
        async with conversing(open_model, rules=[lambda seen: Fault(400)]) as (server, model):
            with pytest.raises(InvalidRequest, match="system message"):
                await model.respond(request)
            assert server.requests == []
