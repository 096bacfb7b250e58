"""Real servers take what our dialects say. Each is started by whoever runs these tests, and named by its base URL.

Continuous integration can't install them: they need gigabytes, and some a GPU. So these are skipped there as well.

    CONSTELLATION_TEST_DYNAMO=http://127.0.0.1:8000 CONSTELLATION_TEST_VLLM=http://127.0.0.1:8001 pytest tests/llm
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from constellation.llm import ChatModel, ModelRequest, open_model, user

from .samples import HINT, REQUEST

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


def needs(variable: str, server: str) -> pytest.MarkDecorator:
    """Skip where the server is not named; in continuous integration too, where it can't be."""
    reason = f"needs a running {server}, which can't be installed for tests: give its base URL in {variable}"
    return pytest.mark.skipif(not os.environ.get(variable), reason=reason)


async def served(provider: str, variable: str) -> ChatModel:
    """The first model of the server, which must be of the kind that it is said to be."""
    url = os.environ[variable].rstrip("/")
    asked = open_model(f"compatible/any@{url}")
    facts = await asked.facts()
    await asked.aclose()
    assert facts.dialect == provider
    return open_model(f"{provider}/{facts.models[0]}@{url}")


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
