"""Tools: they are described, called, alone or several at once, and their results go back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ....llm import (
    Image,
    InvalidToolArguments,
    ModelRequest,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
    ToolUseDelta,
    assistant,
    user,
)
from ..answers import Called, Reply
from .base import ModelChecks, OpenModel, ask, conversing, streamed

WEATHER = ToolSpec(
    "weather",
    "What the weather is.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
)
CLOCK = ToolSpec("clock", "What time it is.", {"type": "object", "properties": {}, "additionalProperties": False})

BOTH = replace(ask("Weather and time?"), tools=(WEATHER, CLOCK))


class ToolChecks(ModelChecks):
    """Tools: they are described, called, alone or several at once, and their results go back."""

    async def test_tools_are_described(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "none needed") as (server, model):
            await model.respond(BOTH)
            sent = [tool["function"] for tool in server.requests[0].body["tools"]]
        assert [tool["name"] for tool in sent] == ["weather", "clock"]
        assert sent[0]["description"] == "What the weather is."
        assert sent[0]["parameters"]["properties"] == {"city": {"type": "string"}}

    async def test_a_call_comes_with_its_arguments_and_id(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply(calls=(Called("weather", {"city": "Oslo"}, "call_a"),))) as (_, model):
            response = await model.respond(BOTH)
        (call,) = response.message.tool_uses
        assert (call.id, call.name, call.decoded()) == ("call_a", "weather", {"city": "Oslo"})
        assert response.finish_reason == "tool_use"

    async def test_several_calls_come_in_order(self, open_model: OpenModel) -> None:
        calls = (Called("weather", {"city": "Oslo"}), Called("clock"), Called("weather", {"city": "Lima"}))
        async with conversing(open_model, Reply(calls=calls)) as (_, model):
            found = (await model.respond(BOTH)).message.tool_uses
        assert [(call.name, call.decoded()) for call in found] == [
            ("weather", {"city": "Oslo"}),
            ("clock", {}),
            ("weather", {"city": "Lima"}),
        ]
        assert len({call.id for call in found}) == 3

    @pytest.mark.parametrize("interleaved", [False, True])
    async def test_calls_in_a_stream_are_put_together(self, open_model: OpenModel, interleaved: bool) -> None:
        calls = (Called("weather", {"city": "Oslo"}), Called("weather", {"city": "Ulaanbaatar"}), Called("clock"))
        reply = Reply(calls=calls, pieces=5, interleaved=interleaved)
        async with conversing(open_model, reply) as (_, model):
            deltas, response = await streamed(model, BOTH)
        found = response.message.tool_uses
        assert [call.decoded() for call in found] == [{"city": "Oslo"}, {"city": "Ulaanbaatar"}, {}]
        pieces = [delta for delta in deltas if isinstance(delta, ToolUseDelta)]
        for index, call in enumerate(found):
            own = [delta for delta in pieces if delta.index == index]
            assert json.loads("".join(delta.arguments for delta in own) or "{}") == call.decoded()
            assert {delta.id for delta in own if delta.id} == {call.id}

    async def test_text_and_calls_come_together(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("Let me see.", calls=(Called("clock"),))) as (_, model):
            message = (await model.respond(BOTH)).message
        assert (message.text, [call.name for call in message.tool_uses]) == ("Let me see.", ["clock"])

    @pytest.mark.parametrize("written", ['{"city": ', "[1, 2]", "nonsense"])
    async def test_malformed_arguments_are_for_the_model_to_mend(self, open_model: OpenModel, written: str) -> None:
        async with conversing(open_model, Reply(calls=(Called("weather", written, "call_b"),))) as (_, model):
            (call,) = (await model.respond(BOTH)).message.tool_uses
        with pytest.raises(InvalidToolArguments, match="JSON object") as caught:
            call.decoded()
        assert (caught.value.tool, caught.value.call) == ("weather", "call_b")

    async def test_results_go_back_under_the_ids_of_their_calls(self, open_model: OpenModel) -> None:
        messages = (
            user("Weather and time?"),
            assistant(ToolUse("call_a", "weather", '{"city": "Oslo"}'), ToolUse("call_b", "clock")),
            user(ToolResult.of("call_a", {"rain": True}), ToolResult.of("call_b", "noon")),
        )
        async with conversing(open_model, "It rains at noon.") as (server, model):
            await model.respond(ModelRequest(messages, tools=(WEATHER, CLOCK)))
            sent = server.requests[0].messages
        assert [call["id"] for call in sent[1]["tool_calls"]] == ["call_a", "call_b"]
        assert [(message["tool_call_id"], message["content"]) for message in sent[2:]] == [
            ("call_a", '{"rain": true}'),
            ("call_b", "noon"),
        ]

    async def test_a_failure_of_a_tool_is_told_as_one(self, open_model: OpenModel) -> None:
        messages = (
            user("Time?"),
            assistant(ToolUse("call_a", "clock")),
            user(ToolResult.of("call_a", "the clock has stopped", is_error=True)),
        )
        async with conversing(open_model, "I can't tell.") as (server, model):
            await model.respond(ModelRequest(messages, tools=(CLOCK,)))
            content = server.requests[0].messages[2]["content"]
        assert "error" in content
        assert "the clock has stopped" in content

    async def test_pictures_in_a_result_arrive(self, open_model: OpenModel) -> None:
        result = ToolResult("call_a", (Text("the sky"), Image(b"\x89PNG")))
        messages = (user("Look."), assistant(ToolUse("call_a", "clock")), user(result))
        async with conversing(open_model, "Blue.") as (server, model):
            await model.respond(ModelRequest(messages, tools=(CLOCK,)))
            sent = server.requests[0].messages
        assert sent[2]["role"] == "tool"
        assert "iVBORw==" in json.dumps(sent[3])

    @pytest.mark.parametrize("choice", ["auto", "none", "required"])
    async def test_whether_tools_may_be_called_is_told(self, open_model: OpenModel, choice: str) -> None:
        async with conversing(open_model, "well") as (server, model):
            await model.respond(replace(BOTH, tool_choice=choice))
            assert server.requests[0].body["tool_choice"] == choice

    async def test_one_tool_can_be_asked_for(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply(calls=(Called("clock"),))) as (server, model):
            await model.respond(replace(BOTH, tool_choice="clock", parallel_tool_calls=False))
            sent = server.requests[0].body
        assert sent["tool_choice"] == {"type": "function", "function": {"name": "clock"}}
        assert sent["parallel_tool_calls"] is False
