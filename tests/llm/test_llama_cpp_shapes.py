"""What llama.cpp's server answers, as it was recorded, is understood: its streams, its errors, its list of models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from constellation.llm import ContextOverflow, ModelRequest, RequestRefused, TextDelta, ToolSpec, open_model, user
from constellation.llm.hints.probe import recognise
from constellation.testing.models import ModelServer, Raw

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

REQUEST = ModelRequest((user("Add 2 and 3 with the tool."),))
ADD = ToolSpec("add", "Add two numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}})
HEAD = {"created": 1795895186, "id": "chatcmpl-1", "model": "smollm2", "system_fingerprint": "b0-unknown"}
TIMINGS = {"cache_n": 0, "prompt_n": 262, "prompt_ms": 4385.084, "predicted_n": 34, "predicted_per_second": 38.11}
USED = {
    "completion_tokens": 34,
    "prompt_tokens": 262,
    "total_tokens": 296,
    "prompt_tokens_details": {"cached_tokens": 9},
}

LISTING = {
    "models": [{"name": "smollm2", "model": "smollm2", "capabilities": ["completion"]}],
    "object": "list",
    "data": [
        {
            "id": "smollm2",
            "aliases": ["smollm2"],
            "object": "model",
            "owned_by": "llamacpp",
            "meta": {"n_vocab": 49152, "n_ctx": 4096, "n_ctx_train": 8192, "n_params": 134515008, "ftype": "Q4_1"},
        }
    ],
}
TOO_LONG = {
    "error": {
        "code": 400,
        "message": "request (9010 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9010,
        "n_ctx": 4096,
    }
}
WRONG_FIELD = {
    "error": {
        "code": 400,
        "message": "Field 'max_tokens': [json.exception.type_error.302] type must be number, but is string",
        "type": "invalid_request_error",
    }
}


def streamed(*deltas: dict[str, Any], finish: str) -> Raw:
    """A stream as it sends one: the role alone first, the reason of the end alone, and then the usage alone."""
    ends = [({"role": "assistant", "content": None}, None), *((delta, None) for delta in deltas), ({}, finish)]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"finish_reason": end, "index": 0, "delta": delta}], **HEAD} for delta, end in ends
    ]
    chunks.append({"choices": [], **HEAD, "usage": USED, "timings": TIMINGS})
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    return Raw("".join(events).encode(), media_type="text/event-stream")


def called(arguments: str, **first: str) -> dict[str, Any]:
    function = {**({"name": first["name"]} if first else {}), "arguments": arguments}
    named = {"id": first["id"], "type": "function"} if first else {}
    return {"tool_calls": [{"index": 0, **named, "function": function}]}


async def test_a_stream_of_text() -> None:
    answer = streamed({"content": "The"}, {"content": " colour"}, finish="length")
    async with ModelServer([answer]) as server, open_model(f"llamacpp/any@{server.url}") as model:
        async with model.stream(REQUEST) as stream:
            deltas = [delta async for delta in stream]
    assert deltas == [TextDelta("The"), TextDelta(" colour")]
    response = stream.response
    assert (response.finish_reason, response.model) == ("length", "smollm2")
    assert (response.usage.input_tokens, response.usage.cached_tokens, response.usage.output_tokens) == (262, 9, 34)


async def test_a_stream_of_a_call() -> None:
    pieces = [called("{", name="add", id="Y70M"), called('"'), called("a"), called('":'), called(" 2"), called("}")]
    answer = streamed(*pieces, finish="tool_calls")
    async with ModelServer([answer]) as server, open_model(f"llamacpp/any@{server.url}") as model:
        async with model.stream(ModelRequest(REQUEST.messages, tools=(ADD,))) as stream:
            async for _ in stream:
                pass
    (call,) = stream.response.message.tool_uses
    assert (call.id, call.name, call.decoded()) == ("Y70M", "add", {"a": 2})
    assert stream.response.finish_reason == "tool_use"


async def test_errors_are_told_apart_by_their_type_for_their_code_is_the_status() -> None:
    answers = [Raw(json.dumps(error).encode(), status=400) for error in (TOO_LONG, WRONG_FIELD)]
    async with ModelServer(answers) as server, open_model(f"llamacpp/any@{server.url}") as model:
        with pytest.raises(ContextOverflow, match="9010 tokens") as overflow:
            await model.respond(REQUEST)
        with pytest.raises(RequestRefused, match="max_tokens") as refused:
            await model.respond(REQUEST)
    assert (overflow.value.status, overflow.value.code) == (400, "exceed_context_size_error")
    assert not isinstance(refused.value, ContextOverflow)


async def test_a_conversation_that_is_too_long_is_known_by_the_type_alone() -> None:
    error = {"error": {**TOO_LONG["error"], "message": "no"}}
    async with ModelServer([Raw(json.dumps(error).encode(), status=400)]) as server:
        async with open_model(f"llamacpp/any@{server.url}") as model:
            with pytest.raises(ContextOverflow):
                await model.respond(REQUEST)


def test_its_list_of_models_tells_what_it_is_and_how_long_a_conversation_may_be() -> None:
    facts = recognise(LISTING)
    assert (facts.kind, facts.dialect, facts.models) == ("llamacpp", "plain", ("smollm2",))
    assert facts.context_tokens == {"smollm2": 4096}
