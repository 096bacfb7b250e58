"""Anthropic's API through litellm, on the wire: marks for its cache, signed reasoning, use and money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from constellation.llm import (
    ModelRequest,
    Pause,
    RateLimited,
    Reasoning,
    Retries,
    Text,
    WorkflowHint,
    assistant,
    open_model,
    system,
    user,
)
from constellation.llm.clients.settings import ClientSettings
from constellation.testing.models.connection import Connection
from constellation.testing.models.server import HOST, JSON

from .samples import REQUEST

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("litellm")]

MODEL = "anthropic/claude-sonnet-4-5"
KEY = "sk-ant-test-0123456789"

ANSWER = b"""{
"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
"content": [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "text", "text": "Done."}],
"usage": {
"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200
}}"""

LIMITED = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slowly"}}'


class Messages:
    """A server of Anthropic's API that answers with these bodies, in order."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            connection = Connection(stream)
            async with aclosing(connection.requests()) as requests:
                async for seen in requests:
                    self.paths.append(seen.path)
                    self.bodies.append(dict(seen.body))
                    status, body = self.answers.pop(0)
                    await connection.whole(status, body, {**JSON, "retry-after": "3"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The server, by its URL."""
        async with await anyio.create_tcp_listener(local_host=HOST) as listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self.serve)
            yield f"http://{HOST}:{listener.extra(SocketAttribute.local_port)}"
            group.cancel_scope.cancel()


async def test_marks_for_its_cache_reach_it_with_their_lifetime() -> None:
    server = Messages((200, ANSWER))
    async with server.running() as url, open_model(f"{MODEL}@{url}", api_key=KEY) as model:
        await model.respond(replace(REQUEST, messages=(*REQUEST.messages, assistant("Found."), user("And now?"))))
    (body,) = server.bodies
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert server.paths == ["/v1/messages"]
    assert body["system"][0]["cache_control"] == hour
    assert body["messages"][-1]["content"][-1]["cache_control"] == hour
    assert str(body).count("cache_control") == 3


async def test_use_and_money_are_told() -> None:
    server = Messages((200, ANSWER))
    async with server.running() as url, open_model(f"{MODEL}@{url}", api_key=KEY) as model:
        usage = (await model.respond(ModelRequest((user("hi"),)))).usage
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (1_300, 1_000, 200)
    assert usage.output_tokens == 20
    # 3 dollars a million in, 15 out, a tenth of that from the cache, five quarters of it into the cache
    assert usage.cost_usd == (100 * Decimal(3) + 1_000 * Decimal("0.3") + 200 * Decimal("3.75") + 20 * 15) / 10**6


async def test_signed_reasoning_comes_and_goes_back_as_it_was() -> None:
    server = Messages((200, ANSWER), (200, ANSWER))
    async with server.running() as url, open_model(f"{MODEL}@{url}", api_key=KEY) as model:
        first = (await model.respond(ModelRequest((system("s"), user("hi"))))).message
        await model.respond(ModelRequest((system("s"), user("hi"), first, user("go on"))))
    assert [type(part) for part in first.parts] == [Reasoning, Text]
    assert {"type": "thinking", "thinking": "hm", "signature": "sig"} in server.bodies[1]["messages"][1]["content"]


async def test_a_rate_limit_is_told_with_its_wait() -> None:
    server = Messages((429, LIMITED))
    settings = ClientSettings(Retries(attempts=1))
    async with server.running() as url, open_model(f"{MODEL}@{url}", api_key=KEY, settings=settings) as model:
        with pytest.raises(RateLimited, match="slowly") as caught:
            await model.respond(ModelRequest((user("hi"),), hint=WorkflowHint("w", "s", pause=Pause(1, 2))))
    assert (caught.value.provider, caught.value.status, caught.value.retry_after_s) == ("anthropic", 429, 3.0)
