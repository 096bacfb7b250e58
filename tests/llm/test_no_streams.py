"""What servers answer in the place of a stream, and what keeps one alive: seen by both clients over real sockets."""

from __future__ import annotations

import json

import pytest

from constellation.llm import (
    ClientSettings,
    Model,
    ModelRequest,
    ModelResponse,
    ProviderError,
    Retries,
    ServerFault,
    open_model,
    user,
)
from constellation.testing.models import ModelServer, Raw

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

REQUEST = ModelRequest((user("Say something."),))
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CLIENTS = ["compatible/m@", pytest.param("litellm/openai/m@", marks=pytest.mark.requires_module("litellm"))]

WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
OVERLOADED = Raw(json.dumps({"error": {"message": "overloaded for now", "code": 503}}).encode())


def model_at(server: ModelServer, client: str) -> Model:
    return open_model(f"{client}{server.url}", api_key="sk-x", settings=ClientSettings(Retries(attempts=1)))


async def streamed(model: Model) -> ModelResponse:
    async with model.stream(REQUEST) as stream:
        async for _ in stream:
            pass
    return stream.response


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("answer", [OVERLOADED, Raw(b"<html>Sign in</html>", media_type="text/html")])
async def test_what_is_no_stream_is_no_empty_answer(client: str, answer: Raw) -> None:
    async with ModelServer([answer]) as server, model_at(server, client) as model:
        with pytest.raises(ProviderError):
            await streamed(model)


async def test_an_error_with_the_status_200_is_told() -> None:
    async with ModelServer([OVERLOADED, OVERLOADED]) as server, model_at(server, "compatible/m@") as model:
        with pytest.raises(ServerFault, match="overloaded for now"):
            await streamed(model)
        with pytest.raises(ServerFault, match="overloaded for now"):
            await model.respond(REQUEST)


async def test_a_server_that_does_not_stream_is_understood() -> None:
    async with ModelServer([Raw(json.dumps(WHOLE).encode())]) as server, model_at(server, "compatible/m@") as model:
        response = await streamed(model)
    assert (response.text, response.finish_reason, response.usage.total_tokens) == ("whole", "stop", 5)


async def test_empty_events_and_blanks_behind_the_end_are_passed_over() -> None:
    said = [{"delta": {"content": "hi"}, "index": 0, "finish_reason": "stop"}]
    body = f"data:\n\n: ping\n\ndata: {json.dumps({**CHUNK, 'choices': said})}\n\ndata: [DONE] \n\n"
    answer = Raw(body.encode(), media_type="text/event-stream")
    async with ModelServer([answer]) as server, model_at(server, "compatible/m@") as model:
        assert (await streamed(model)).text == "hi"
