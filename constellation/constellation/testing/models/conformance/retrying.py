"""Trying again: after what may pass, after a while that grows, as long as the provider asks for, and not for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ....llm import ModelTimeout, RateLimited
from ..answers import Fault, Gate, Hangup, Reply
from .base import SHORT_S, ModelChecks, OpenModel, Waits, ask, conversing, settings, streamed, warm_up

PASSING = [Fault(429, "slowly"), Fault(500), Fault(502), Fault(503), Fault(529, "overloaded"), Fault(408), Hangup()]


class RetryingChecks(ModelChecks):
    """Trying again: after what may pass, after a while that grows, as long as is asked for, and not for ever."""

    @pytest.mark.parametrize("fault", PASSING, ids=lambda fault: str(getattr(fault, "status", "hangup")))
    async def test_what_may_pass_is_tried_again(self, open_model: OpenModel, fault: Fault | Hangup) -> None:
        async with conversing(open_model, fault, "better now") as (server, model):
            assert (await model.respond(ask())).text == "better now"
            assert len(server.requests) == 2

    async def test_a_stream_is_tried_again_too(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Fault(503), Fault(429), "better now") as (_, model):
            assert (await streamed(model, ask()))[1].text == "better now"

    async def test_the_same_is_asked_again(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Fault(500), "yes") as (server, model):
            await model.respond(replace(ask("the same"), temperature=0.5))
            first, second = server.requests
        assert first.body == second.body

    async def test_waits_grow_with_the_failures(self, open_model: OpenModel) -> None:
        waits = Waits()
        patience = settings(waits, attempts=5)
        async with conversing(open_model, *[Fault(503)] * 4, "at last", patience=patience) as (_, model):
            await model.respond(ask())
        assert waits.waited_s == [0.5, 1.0, 2.0, 4.0]

    async def test_a_provider_is_given_the_time_that_it_asks_for(self, open_model: OpenModel) -> None:
        waits = Waits()
        fault = Fault(429, "slowly", headers={"retry-after": "7"})
        async with conversing(open_model, fault, "fine", patience=settings(waits)) as (_, model):
            await model.respond(ask())
        assert 6.5 < sum(waits.waited_s) < 9

    async def test_a_provider_that_asks_for_too_much_time_is_not_waited_for(self, open_model: OpenModel) -> None:
        waits = Waits()
        fault = Fault(429, "tomorrow", headers={"retry-after": "86400"})
        async with conversing(open_model, fault, patience=settings(waits)) as (_, model):
            with pytest.raises(RateLimited) as caught:
                await model.respond(ask())
        assert (caught.value.retry_after_s, waits.waited_s) == (86_400, [])

    async def test_no_request_is_sent_while_none_is_left(self, open_model: OpenModel) -> None:
        waits = Waits()
        left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
        async with conversing(open_model, Reply("one", headers=left), "two", patience=settings(waits)) as (_, model):
            await model.respond(ask())
            assert waits.waited_s == []
            await model.respond(ask())
        assert 15 < sum(waits.waited_s) <= 20

    async def test_an_answer_that_does_not_come_in_time_is_given_up(self, open_model: OpenModel) -> None:
        gate = Gate()
        patience = settings(attempts=1, answer_s=SHORT_S)
        async with conversing(open_model, patience=patience) as (server, model):
            await warm_up(open_model, server)
            server.add(Reply("too late", gate=gate))
            with pytest.raises(ModelTimeout):
                await model.respond(ask())
            await (await server.request(1)).left.wait()

    async def test_a_stream_that_does_not_go_on_is_given_up(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=2)
        patience = settings(attempts=1, pause_s=SHORT_S)
        async with conversing(open_model, patience=patience) as (server, model):
            await warm_up(open_model, server)
            server.add(Reply("a b c d e f", pieces=6, gate=gate))
            with pytest.raises(ModelTimeout):
                await streamed(model, ask())
            await (await server.request(1)).left.wait()

    async def test_a_request_has_a_time_limit_of_its_own(self, open_model: OpenModel) -> None:
        gate = Gate()
        async with conversing(open_model) as (server, model):
            await warm_up(open_model, server)
            server.add(Reply("too late", gate=gate))
            with pytest.raises(ModelTimeout):
                await model.respond(replace(ask(), timeout_s=SHORT_S))
