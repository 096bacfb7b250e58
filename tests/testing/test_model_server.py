"""The server of models speaks HTTP to whoever speaks it, on loopback, and notices what a test did not mean."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from constellation.llm import AccessDenied, ModelRequest, RequestRefused, open_model, user
from constellation.testing import UnexpectedStep, UnusedSteps
from constellation.testing.models import ModelServer, Reply, SeenRequest
from constellation.testing.models.server import HOST

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

ASK = ModelRequest((user("hi"),))


async def exchange(server: ModelServer, sent: bytes) -> bytes:
    """What the server answers to these bytes, until it closes."""
    port = int(server.url.split(":")[2].partition("/")[0])
    with anyio.fail_after(10):
        async with await anyio.connect_tcp(HOST, port) as stream:
            await stream.send(sent)
            received = b""
            try:
                while True:
                    received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return received


def http(method: str, path: str, body: Any = None, *headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(content)}", "connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


async def test_it_listens_on_loopback_alone() -> None:
    async with ModelServer() as server:
        assert server.url.startswith("http://127.0.0.1:")


async def test_it_lists_its_models() -> None:
    async with ModelServer(models=["a", "b"], owned_by="vllm") as server:
        answer = await exchange(server, http("GET", "/v1/models"))
    listing = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert [(entry["id"], entry["owned_by"]) for entry in listing["data"]] == [("a", "vllm"), ("b", "vllm")]


async def test_what_it_does_not_have_it_says() -> None:
    async with ModelServer() as server:
        assert b" 404 " in await exchange(server, http("GET", "/v1/nothing"))


async def test_what_is_no_http_or_no_json_gets_no_answer_and_harms_nobody() -> None:
    async with ModelServer(["fine"]) as server:
        assert await exchange(server, b"\x16\x03\x01 nonsense\r\n\r\n") == b""
        broken = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{{{"
        assert await exchange(server, broken) == b""
        async with open_model(server.model) as model:
            assert (await model.respond(ASK)).text == "fine"


async def test_a_stream_ends_with_done_and_usage_only_where_it_was_asked_for() -> None:
    body = {"model": "m", "messages": [], "stream": True}
    async with ModelServer(["a b c", "a b c"]) as server:
        without = await exchange(server, http("POST", "/v1/chat/completions", body))
        wanted = {**body, "stream_options": {"include_usage": True}}
        answer = await exchange(server, http("POST", "/v1/chat/completions", wanted))
    assert b"data: [DONE]" in without
    assert (b"prompt_tokens" in without, b"prompt_tokens" in answer) == (False, True)


async def test_a_wrong_key_is_refused() -> None:
    async with ModelServer(["fine"], api_key="right-key") as server:
        async with open_model(server.model, api_key="wrong-key") as model:
            with pytest.raises(AccessDenied):
                await model.respond(ASK)
        async with open_model(server.model, api_key="right-key") as model:
            assert (await model.respond(ASK)).text == "fine"


async def test_rules_come_before_the_script() -> None:
    def rule(seen: SeenRequest) -> Reply | None:
        return Reply("by rule") if seen.messages[-1]["content"] == "rule" else None

    async with ModelServer(["by script"], rules=[rule]) as server, open_model(server.model) as model:
        assert (await model.respond(ModelRequest((user("rule"),)))).text == "by rule"
        assert (await model.respond(ASK)).text == "by script"


async def test_a_request_too_many_is_told_in_the_end() -> None:
    server = ModelServer()
    await server.__aenter__()
    async with open_model(server.model) as model:
        with pytest.raises(RequestRefused):
            await model.respond(ASK)
    with pytest.raises(UnexpectedStep, match="request 0 came, but the script is at its end: 'hi'"):
        await server.__aexit__(None, None, None)


async def test_an_answer_too_many_is_told_in_the_end() -> None:
    server = ModelServer(["one"])
    await server.__aenter__()
    with pytest.raises(UnusedSteps, match="1 answers"):
        await server.__aexit__(None, None, None)


async def test_one_that_does_not_remember_keeps_no_requests() -> None:
    async with ModelServer(rules=[lambda seen: "x"], remember=False) as server, open_model(server.model) as model:
        ids = [(await model.respond(ASK)).id for _ in range(3)]
        assert server.requests == []
    assert len(set(ids)) == 3
