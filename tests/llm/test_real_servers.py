"""Real servers take what our dialects say. Each is started by whoever runs these tests, and named by its base URL.

Continuous integration can't install them: they need gigabytes, and some a GPU. So these are skipped there as well.

    CONSTELLATION_TEST_DYNAMO=http://127.0.0.1:8000 CONSTELLATION_TEST_VLLM=http://127.0.0.1:8001 \
        CONSTELLATION_TEST_LLAMA_CPP=http://127.0.0.1:8080 pytest tests/llm/test_real_servers.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import urlopen

import anyio
import anyio.to_thread
import pytest

from constellation.llm import (
    ChatModel,
    ContextOverflow,
    ModelRequest,
    ModelTimeout,
    OutputType,
    RequestRefused,
    TextDelta,
    ToolSpec,
    open_model,
    user,
)

from .samples import HINT, REQUEST

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


def needs(variable: str, server: str) -> pytest.MarkDecorator:
    """Skip where the server is not named; in continuous integration too, where it can't be."""
    reason = f"needs a running {server}, which can't be installed for tests: give its base URL in {variable}"
    return pytest.mark.skipif(not os.environ.get(variable), reason=reason)


async def served(kind: str, variable: str, prefix: str = "") -> ChatModel:
    """The first model of the server, which must be of the kind that it is said to be."""
    url = os.environ[variable].rstrip("/")
    async with open_model(f"compatible/any@{url}") as asked:
        facts = await asked.facts()
    assert facts.kind == kind
    return open_model(f"{prefix or kind}/{facts.models[0]}@{url}")


async def check(model: ChatModel) -> None:
    """Whole and streamed, in the middle of a session and at its end; no hint may be refused."""
    request = ModelRequest((user("the quick brown fox"),), max_tokens=8, hint=HINT)
    async with model:
        for last in (False, True):
            response = await model.respond(replace(request, hint=replace(HINT, last_step=last)))
            assert response.usage.output_tokens > 0
            async with model.stream(replace(request, hint=replace(HINT, last_step=last))) as stream:
                async for _ in stream:
                    pass
                assert stream.response.usage.input_tokens > 0
        await model.respond(replace(REQUEST, max_tokens=8))
    assert model.memory.refused == frozenset()


@needs("CONSTELLATION_TEST_DYNAMO", "NVIDIA Dynamo front end")
async def test_dynamo_takes_its_dialect() -> None:
    await check(await served("dynamo", "CONSTELLATION_TEST_DYNAMO"))


@needs("CONSTELLATION_TEST_DYNAMO", "NVIDIA Dynamo front end")
async def test_dynamo_refuses_another_dialect_and_is_not_sent_it_again() -> None:
    dynamo = await served("dynamo", "CONSTELLATION_TEST_DYNAMO")
    await dynamo.aclose()
    request = ModelRequest((user("the quick brown fox"),), max_tokens=8, hint=HINT)
    async with open_model(dynamo.name, dialect="vllm") as model:
        assert (await model.respond(request)).usage.output_tokens > 0
    assert model.memory.refused == {"body:session_id", "body:priority"}


@needs("CONSTELLATION_TEST_VLLM", "vLLM started with --scheduling-policy priority")
async def test_vllm_takes_its_dialect() -> None:
    await check(await served("vllm", "CONSTELLATION_TEST_VLLM"))


# --- llama.cpp: any model that answers in a second or two; its server started with --slots and --parallel 2 -----------

LLAMA_CPP = "CONSTELLATION_TEST_LLAMA_CPP"
needs_llama_cpp = needs(LLAMA_CPP, "server of llama.cpp")
through = pytest.mark.parametrize(
    "prefix", ["llamacpp", pytest.param("litellm/openai", marks=pytest.mark.requires_module("litellm"))]
)
ENDLESS = ModelRequest((user("Write a very long story about the sea, of a hundred chapters."),), temperature=0.9)
ADD = ToolSpec(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)


@dataclass
class Verdict:
    passed: bool


async def told(path: str) -> Any:
    """What the server tells of itself."""

    def ask() -> Any:
        with urlopen(os.environ[LLAMA_CPP].rstrip("/") + path, timeout=30) as answer:
            return json.load(answer)

    return await anyio.to_thread.run_sync(ask)


async def until(holds: Callable[[Any], bool], path: str) -> None:
    """Ask the server until something is true of it: it has no events that could be waited for.

    Not more often than this, for it notices only in a quiet second that the client of a whole answer has gone.
    """
    with anyio.fail_after(30):
        while not holds(await told(path)):
            await anyio.sleep(1.5)


def idle(slots: Any) -> bool:
    return not any(slot["is_processing"] for slot in slots)


@needs_llama_cpp
@through
async def test_llama_cpp_takes_hints_and_tells_what_was_used(prefix: str) -> None:
    await check(await served("llamacpp", LLAMA_CPP, prefix))


@needs_llama_cpp
@pytest.mark.parametrize("dialect", ["vllm", "sglang", "dynamo", "continuum", "continuum-plugin", "llm-d", "openai"])
async def test_llama_cpp_bears_every_dialect(dialect: str) -> None:
    model = await served("llamacpp", LLAMA_CPP)
    await model.aclose()
    async with open_model(model.name, dialect=dialect) as model:
        await model.respond(ModelRequest((user("hi"),), max_tokens=1, hint=HINT))
    assert model.memory.refused == frozenset()


@needs_llama_cpp
@through
async def test_llama_cpp_says_that_a_conversation_is_too_long(prefix: str) -> None:
    async with await served("llamacpp", LLAMA_CPP) as model:
        (length,) = (await model.facts()).context_tokens.values()
    request = ModelRequest((user("word " * 2 * length),), max_tokens=1)
    async with await served("llamacpp", LLAMA_CPP, prefix) as model:
        with pytest.raises(ContextOverflow):
            await model.respond(request)
        with pytest.raises(ContextOverflow):
            async with model.stream(request):
                pass


@needs_llama_cpp
@through
async def test_llama_cpp_keeps_answers_to_a_schema(prefix: str) -> None:
    request = ModelRequest((user("Two tests failed. Did all tests pass?"),), output=OutputType(Verdict), max_tokens=100)
    async with await served("llamacpp", LLAMA_CPP, prefix) as model:
        assert isinstance((await model.respond(request)).output, Verdict)
        async with model.stream(request) as stream:
            async for _ in stream:
                pass
        assert isinstance(stream.response.output, Verdict)


@needs_llama_cpp
@through
async def test_llama_cpp_keeps_calls_to_the_schema_of_the_tool(prefix: str) -> None:
    if not (await told("/props"))["chat_template_caps"]["supports_tools"]:
        pytest.skip("the chat template of this model knows no tools")
    question = user("Add 2 and 3 with the tool.")
    request = ModelRequest((question,), tools=(ADD,), tool_choice="required", max_tokens=300, temperature=0.0)
    async with await served("llamacpp", LLAMA_CPP, prefix) as model:
        whole = await model.respond(request)
        async with model.stream(request) as stream:
            async for _ in stream:
                pass
    for response in (whole, stream.response):
        assert response.finish_reason == "tool_use"
        for call in response.message.tool_uses:
            assert (call.name, set(call.decoded())) == ("add", {"a", "b"})


@needs_llama_cpp
@through
async def test_llama_cpp_stops_when_a_stream_is_left(prefix: str) -> None:
    async with await served("llamacpp", LLAMA_CPP, prefix) as model:
        async with model.stream(ENDLESS) as stream:
            assert isinstance(await anext(aiter(stream)), TextDelta)
            assert not idle(await told("/slots"))
        await until(idle, "/slots")


@needs_llama_cpp
@through
async def test_llama_cpp_stops_when_a_whole_answer_is_cancelled_or_late(prefix: str) -> None:
    async with await served("llamacpp", LLAMA_CPP, prefix) as model:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.respond, ENDLESS)
            await until(lambda slots: not idle(slots), "/slots")
            tasks.cancel_scope.cancel()
        await until(idle, "/slots")
        with pytest.raises(ModelTimeout):
            await model.respond(replace(ENDLESS, timeout_s=1.0))
        await until(idle, "/slots")


@needs_llama_cpp
async def test_llama_cpp_answers_with_what_it_has_whichever_model_is_asked_for() -> None:
    model = await served("llamacpp", LLAMA_CPP)
    await model.aclose()
    async with open_model(f"llamacpp/no-such-model@{os.environ[LLAMA_CPP].rstrip('/')}") as other:
        response = await other.respond(ModelRequest((user("hi"),), max_tokens=1))
    assert response.model == model.model


@needs_llama_cpp
async def test_llama_cpp_refuses_what_makes_no_sense() -> None:
    async with await served("llamacpp", LLAMA_CPP) as model:
        with pytest.raises(RequestRefused) as caught:
            await model.respond(ModelRequest((user("hi"),), max_tokens="many"))  # type: ignore[arg-type]
    assert caught.value.code == "invalid_request_error"
