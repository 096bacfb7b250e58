"""Conversations are saved and read, moved between providers, and mended where a call was left without a result."""

from __future__ import annotations

from decimal import Decimal

import pytest

from constellation.llm import (
    Conversation,
    File,
    Image,
    InvalidRequest,
    LLMError,
    Message,
    ModelRequest,
    Reasoning,
    ServerFault,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    Usage,
    assistant,
    open_model,
    portable,
    system,
    user,
    without_reasoning,
)
from constellation.testing.models import Called, ModelServer, Reply, ScriptedModel

SIGNED = ({"type": "thinking", "thinking": "hm", "signature": "s"},)

EVERYTHING = [
    system("Be brief."),
    user("What is this?", Image(b"\x89PNG\xff"), Image(url="https://example.org/a.png"), File(b"%PDF\xff", "a.pdf")),
    assistant(Reasoning("hm", "anthropic", SIGNED), "Let me see.", ToolUse("call_1", "look", '{"at": 1}')),
    user(ToolResult("call_1", (Text("a cat"), Image(b"\x00\xff")), is_error=True), "Well?"),
    assistant("A cat – 猫."),
]


def test_a_conversation_of_everything_is_read_as_it_was_written() -> None:
    turns = [Turn(4, "openai/gpt-5", Usage(10, 5, 0, 3, 1, Decimal("0.0001")))]
    saved = Conversation(list(EVERYTHING), turns).to_json()
    read = Conversation.from_json(saved)
    assert read == Conversation(list(EVERYTHING), turns)
    assert read.to_json() == saved


def test_a_conversation_that_was_written_by_this_version_can_be_read_for_ever() -> None:
    saved = (
        '{"version":1,"messages":[{"role":"user","parts":[{"text":"hi","type":"text"}]},'
        '{"role":"assistant","parts":[{"id":"c","name":"f","arguments":"{}","type":"tool_use"}]}],'
        '"turns":[{"at":1,"model":"a/b","usage":{"input_tokens":1,"cached_tokens":0,"cache_write_tokens":0,'
        '"output_tokens":2,"reasoning_tokens":0,"cost_usd":"0.5"}}]}'
    )
    read = Conversation.from_json(saved)
    assert read.messages == [user("hi"), assistant(ToolUse("c", "f"))]
    assert read.usage.cost_usd == Decimal("0.5")


@pytest.mark.parametrize("document", ["", "[]", '{"version": 2, "messages": [], "turns": []}', '{"version": 1}'])
def test_what_is_no_conversation_is_refused(document: str) -> None:
    with pytest.raises(InvalidRequest, match="no saved conversation of version 1"):
        Conversation.from_json(document)


@pytest.mark.anyio
@pytest.mark.e2e
@pytest.mark.requires_module("litellm")
async def test_a_conversation_moves_to_another_provider_in_the_middle() -> None:
    async with (
        ModelServer([Reply("Looking.", calls=(Called("look", {"at": 1}, "call.with:odd/id"),))]) as first,
        ModelServer(["A cat."]) as second,
        open_model(f"vllm/one@{first.url}") as one,
        open_model(f"litellm/openai/two@{second.url}", api_key="k" * 8) as two,
    ):
        conversation = Conversation([user("What is this?")])
        response = await conversation.ask(one)
        (call,) = response.message.tool_uses
        moved = Conversation.from_json(conversation.to_json())
        moved.add(user(ToolResult.of(call.id, "a cat")))
        assert (await moved.ask(two)).text == "A cat."
        sent = second.requests[0].messages
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]
    assert "." not in sent[2]["tool_call_id"]
    assert [turn.model.partition("@")[0] for turn in moved.turns] == ["vllm/one", "litellm/openai/two"]
    assert moved.messages[1].tool_uses[0].id == "call.with:odd/id"


@pytest.mark.anyio
async def test_a_question_that_fails_leaves_the_conversation_as_it_was() -> None:
    conversation = Conversation([user("hi")])
    with ScriptedModel([ServerFault("down"), "hello"]) as model:
        with pytest.raises(LLMError):
            await conversation.ask(model)
        assert conversation == Conversation([user("hi")])
        await conversation.ask(model, ModelRequest((), max_tokens=5))
    assert model.requests[1].max_tokens == 5
    assert conversation.messages == [user("hi"), assistant("hello")]


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    calls = assistant(ToolUse("a", "f"), ToolUse("b", "f"))
    cancelled = ToolResult.of("b", "cancelled: this call was not carried out", is_error=True)
    assert portable([calls, user(ToolResult.of("a", 1))]) == (calls, user(cancelled, ToolResult.of("a", 1)))
    assert portable([assistant(ToolUse("b", "f")), assistant("so")])[1] == user(cancelled)
    assert portable([assistant(ToolUse("b", "f"))])[1] == user(cancelled)


def test_a_result_without_a_call_is_left_out() -> None:
    assert portable([user(ToolResult.of("gone", 1)), user("hi", ToolResult.of("gone", 1))]) == (user("hi"),)


def test_what_is_portable_stays_as_it_is() -> None:
    assert portable(EVERYTHING) == tuple(EVERYTHING)
    assert portable(portable([assistant(ToolUse("ä b", "f"))])) == portable([assistant(ToolUse("ä b", "f"))])


def test_a_conversation_without_reasoning_is_shorter() -> None:
    assert without_reasoning([assistant(Reasoning("hm"), "4"), assistant(Reasoning("hm"))]) == (assistant("4"),)
    assert Message("assistant", (Reasoning("hm"),)).reasoning == "hm"
