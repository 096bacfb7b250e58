"""The client itself: event loops, prices that it learns, and streams that the whole of a time limit cuts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import anyio
import pytest

from constellation.llm import (
    ClientSettings,
    ConnectionLost,
    ModelRequest,
    ModelTimeout,
    Prices,
    Retries,
    TextDelta,
    open_model,
    user,
)
from constellation.testing.models import Gate, ModelServer, Reply
from constellation.testing.models.conformance.base import streamed

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

ASK = ModelRequest((user("hi"),))


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_openai_client_works_on_both_event_loops(anyio_backend: str) -> None:
    async with ModelServer(["whole", Reply("a b c d", pieces=4)]) as server, open_model(server.model) as model:
        assert (await model.respond(ASK)).text == "whole"
        async with model.stream(ASK) as stream:
            assert all([isinstance(delta, TextDelta) async for delta in stream])
        assert stream.response.text == "a b c d"


async def test_prices_that_are_given_are_charged() -> None:
    async with ModelServer(["x"]) as server, open_model(server.model, prices=Prices.of("100000", "0")) as model:
        assert (await model.respond(ASK)).usage.cost_usd == Decimal(1)


async def test_a_time_limit_of_a_request_cuts_its_stream_while_it_is_read() -> None:
    gate = Gate(pieces=2)
    async with ModelServer(["warm", Reply("a b c d", pieces=4, gate=gate)]) as server:
        async with open_model(server.model) as model:
            await model.respond(ASK)
            with pytest.raises(ModelTimeout, match=r"within 1 s"):
                await streamed(model, replace(ASK, timeout_s=1.0))
            with anyio.fail_after(10):
                await server.requests[1].left.wait()


async def test_a_model_that_was_closed_opens_again_when_it_is_asked() -> None:
    async with ModelServer(["one", "two"]) as server:
        model = open_model(server.model)
        assert (await model.respond(ASK)).text == "one"
        await model.aclose()
        assert (await model.respond(ASK)).text == "two"
        await model.aclose()


async def test_a_server_that_is_not_there_is_named() -> None:
    async with ModelServer() as server:
        name = server.model
    async with open_model(name, settings=ClientSettings(Retries(attempts=1))) as model:
        with pytest.raises(ConnectionLost, match=r"is http://127\.0\.0\.1:"):
            await model.respond(ASK)
