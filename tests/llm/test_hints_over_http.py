"""Hints on the wire: servers are asked what they are, and what they refuse is left out from then on."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from constellation.llm import ChatModel, ClientSettings, HintMemory, RequestRefused, Retries, open_model
from constellation.llm.hints.probe import recognise
from constellation.testing.models import Fault, ModelServer, Rule, SeenRequest

from .raw_server import Said, raw_server, whole
from .samples import HINT, REQUEST

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


def strict(*refused: str) -> Rule:
    """A rule of a server that refuses these fields, one at a time, as Dynamo does."""

    def rule(seen: SeenRequest) -> Fault | None:
        flat = {**seen.body, **seen.body.get("nvext", {}).get("agent_hints", {})}
        for name in refused:
            if name in flat or name in seen.headers:
                return Fault(
                    400, f"Failed to deserialize the JSON body: unknown field `{name}`, expected something else"
                )
        return None

    return rule


through_litellm = pytest.param("litellm/openai", marks=pytest.mark.requires_module("litellm"))


@pytest.mark.parametrize("prefix", ["dynamo", through_litellm])
async def test_a_hint_that_is_refused_is_left_out_once_and_for_all(prefix: str) -> None:
    rules = [strict("osl"), lambda seen: "fine"]
    async with (
        ModelServer(rules=rules) as server,
        open_model(f"{prefix}/scripted@{server.url}", dialect="dynamo", api_key="k" * 8) as model,
    ):
        assert (await model.respond(REQUEST)).text == "fine"
        assert (await model.respond(REQUEST)).text == "fine"
        hints = [seen.body["nvext"]["agent_hints"] for seen in server.requests]
        assert {seen.headers["x-dynamo-session-id"] for seen in server.requests} == {"run-7/build"}
    assert hints == [{"priority": 5, "osl": 200}, {"priority": 5}, {"priority": 5}]
    assert model.memory.refused == {"body:nvext.agent_hints.osl"}


async def test_several_hints_that_are_refused_are_left_out_one_after_the_other() -> None:
    rules = [strict("osl", "priority"), lambda seen: "fine"]
    async with (
        ModelServer(rules=rules) as server,
        open_model(f"dynamo/scripted@{server.url}") as model,
        model.stream(REQUEST) as stream,
    ):
        async for _ in stream:
            pass
        assert stream.response.text == "fine"
        assert "nvext" not in server.requests[-1].body
        assert len(server.requests) == 3


async def test_clients_of_one_server_share_what_it_refuses() -> None:
    memory = HintMemory()
    rules = [strict("session_id"), lambda seen: "fine"]
    async with ModelServer(rules=rules) as server:
        for _ in range(2):
            async with open_model(f"vllm/scripted@{server.url}", memory=memory) as model:
                await model.respond(REQUEST)
        assert len(server.requests) == 3


async def test_a_refusal_that_names_no_hint_is_an_error_at_once() -> None:
    async with (
        ModelServer([Fault(400, "messages must not be empty")]) as server,
        open_model(f"vllm/scripted@{server.url}") as model,
    ):
        with pytest.raises(RequestRefused, match="must not be empty"):
            await model.respond(REQUEST)


async def test_a_request_without_a_hint_asks_nobody_anything_and_sends_none() -> None:
    async with (
        ModelServer(["fine"], owned_by="vllm") as server,
        open_model(f"compatible/scripted@{server.url}") as model,
    ):
        await model.respond(replace(REQUEST, hint=None))
        assert server.listings == 0
        assert "session_id" not in server.requests[0].body


@pytest.mark.parametrize(
    ("owner", "where"),
    [
        ("vllm", "session_id"),
        ("sglang", "x-smg-routing-key"),
        ("nvidia", "x-dynamo-session-id"),
        ("me", "x-session-id"),
    ],
)
async def test_a_server_that_nothing_is_known_of_is_asked_once_what_it_is(owner: str, where: str) -> None:
    async with (
        ModelServer(["one", "two"], owned_by=owner) as server,
        open_model(f"compatible/scripted@{server.url}") as model,
    ):
        await model.respond(REQUEST)
        await model.respond(REQUEST)
        assert server.listings == 1
        for seen in server.requests:
            assert {**seen.body, **seen.headers}[where] == HINT.session


async def test_a_model_tells_what_its_server_is() -> None:
    async with (
        ModelServer(models=["m"], owned_by="nvidia") as server,
        open_model(f"compatible/m@{server.url}") as model,
    ):
        facts = await model.facts()
    assert (facts.kind, facts.dialect, facts.models) == ("dynamo", "dynamo", ("m",))


def test_what_is_no_list_of_models_tells_nothing() -> None:
    for listing in (None, [], {}, {"data": None}, {"data": ["x", {"id": 3}, {}]}):
        facts = recognise(listing)
        assert (facts.kind, facts.dialect, facts.models) == ("unknown", "plain", ())


def test_a_list_of_models_tells_how_long_a_conversation_may_be() -> None:
    facts = recognise(
        {
            "data": [
                {"id": "m", "owned_by": "vllm", "max_model_len": 4096},
                {"id": "n", "context_window": 99},
                {"id": "o", "meta": None},
                {"id": "p", "meta": {"n_ctx": 8192, "n_ctx_train": 32768}},
            ]
        }
    )
    assert (facts.kind, facts.models) == ("vllm", ("m", "n", "o", "p"))
    assert facts.context_tokens == {"m": 4096, "n": 99, "p": 8192}


ANSWER = whole(b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}')
LISTING = whole(b'{"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}')
AT_ONCE = ClientSettings(Retries(first_s=0))


def asked_what_it_is(name: str) -> ChatModel:
    return open_model(name, dialect=None, settings=AT_ONCE)


async def test_a_server_that_does_not_say_what_it_is_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation.llm.clients.chat.PROBE_S", 0.05)
    async with raw_server(Said([], "stay"), ANSWER, ANSWER) as server, asked_what_it_is(server.model) as model:
        with anyio.fail_after(20):
            assert (await model.respond(REQUEST)).text == "fine"
            await server.gone.wait()
        assert (await model.respond(REQUEST)).text == "fine"
        assert model.dialect_name == "plain", "it is not asked again"


async def test_a_server_that_is_away_at_first_is_asked_again_what_it_is() -> None:
    async with raw_server(Said([], "reset"), ANSWER, LISTING, ANSWER) as server:
        async with asked_what_it_is(server.model) as model:
            assert (await model.respond(REQUEST)).text == "fine"
            assert model.dialect_name == ""
            assert (await model.respond(REQUEST)).text == "fine"
            assert model.dialect_name == "vllm"
