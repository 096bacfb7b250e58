"""Requests as they are written: what the conformance suite does not look at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from constellation.llm import (
    Image,
    InvalidRequest,
    Message,
    ModelRequest,
    Reasoning,
    ToolSpec,
    ToolUse,
    assistant,
    system,
    user,
)
from constellation.llm.hints.fields import marks
from constellation.llm.wire.requests import build, wire_messages
from constellation.llm.wire.tools import offered
from constellation_tools import tool

SIGNED = ({"type": "thinking", "thinking": "hm", "signature": "abc"},)


@tool
def add(a: int, b: int = 1) -> int:
    """Add numbers.

    Args:
        a: One.
        b: Another.
    """
    return a + b


def test_a_tool_of_ours_is_described_by_its_own_schema() -> None:
    call = build(ModelRequest((user("1+1"),), tools=(ToolSpec.of(add),)), model="m", provider="vllm")
    (sent,) = call.body["tools"]
    assert sent["function"]["description"] == "Add numbers."
    assert sent["function"]["parameters"] == add.input_schema


def test_openai_is_told_the_limit_in_its_own_word() -> None:
    request = ModelRequest((user("x"),), max_tokens=5)
    assert build(request, model="m", provider="openai").body["max_completion_tokens"] == 5
    assert build(request, model="m", provider="vllm").body["max_tokens"] == 5


def test_reasoning_goes_back_to_whose_it_is_and_to_nobody_else() -> None:
    messages = [assistant(Reasoning("hm", "anthropic", SIGNED), "4")]
    (own,) = wire_messages(messages, provider="anthropic")
    (other,) = wire_messages(messages, provider="openai")
    assert own["thinking_blocks"] == list(SIGNED)
    assert other == {"role": "assistant", "content": "4"}


def test_a_message_of_calls_alone_has_no_text() -> None:
    (wired,) = wire_messages([assistant(ToolUse("c", "clock", ""))], provider="openai")
    assert wired["content"] is None
    assert wired["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_message_of_nothing_has_empty_text() -> None:
    assert wire_messages([Message("assistant", ())], provider="openai") == [{"role": "assistant", "content": ""}]


def test_a_tool_that_has_to_be_called_is_one_of_the_request() -> None:
    request = ModelRequest((user("x"),), tools=(ToolSpec.of(add),), tool_choice="multiply")
    with pytest.raises(InvalidRequest, match="'multiply' is no tool of this request"):
        build(request, model="m", provider="openai")


def test_a_user_can_not_reason() -> None:
    with pytest.raises(InvalidRequest, match="reasoning"):
        wire_messages([user(Reasoning("hm"))], provider="openai")


def test_an_image_has_bytes_or_a_url() -> None:
    for wrong in ({}, {"data": b"x", "url": "https://example.org"}):
        with pytest.raises(ValueError, match="either data or a url"):
            Image(**wrong)  # type: ignore[arg-type]


def test_marks_are_on_the_system_and_the_last_two_turns() -> None:
    messages = (system("s"), user("1"), assistant("a"), user("2"), assistant("b"), user("3", Image(b"x")))
    request = ModelRequest(messages)
    call = build(request, model="m", provider="anthropic", fields=[marks("cache_control", {"type": "ephemeral"})])
    marked = ["cache_control" in str(message) for message in call.body["messages"]]
    assert marked == [True, False, False, True, False, True]
    assert "cache_control" in call.body["messages"][-1]["content"][-1]


def test_effort_and_streaming_are_asked_for() -> None:
    body = build(replace(ModelRequest((user("x"),)), effort="low"), model="m", provider="openai", stream=True).body
    assert (body["reasoning_effort"], body["stream"], body["stream_options"]) == ("low", True, {"include_usage": True})


def test_openai_enforces_a_schema_and_what_that_adds_to_a_call_is_undone() -> None:
    tools = offered((ToolSpec.of(add),), "openai")
    (sent,) = tools.functions
    assert sent["function"]["strict"] is True
    assert sent["function"]["parameters"]["required"] == ["a", "b"]
    assert tools.restored(ToolUse("c", "add", '{"a": 1, "b": null}')) == ToolUse("c", "add", '{"a": 1}')


@pytest.mark.parametrize("arguments", ["{oops", "[1]", '{"a": 1}'])
def test_a_call_that_needs_nothing_undone_comes_as_it_was(arguments: str) -> None:
    call = ToolUse("c", "add", arguments)
    assert offered((ToolSpec.of(add),), "openai").restored(call) == call
    other = ToolUse("c", "multiply", arguments)
    assert offered((ToolSpec.of(add),), "openai").restored(other) == other


def test_each_provider_gets_a_schema_that_it_takes() -> None:
    spec = ToolSpec(
        "f", "", {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": "string"}}}
    )
    (sent,) = offered((spec,), "gemini").functions
    assert sent["function"]["parameters"]["properties"]["x"]["type"] == "string"
    assert "strict" not in sent["function"]
