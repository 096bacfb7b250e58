"""Who speaks is bound to the connection: nobody answers for another device, an older session, or another's name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from constellation.orchestrator.events import StarProgress, StarSettled
from constellation_protocol import Progress, Refused

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Hub = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_device_can_not_answer_for_the_attempt_of_another(hub: Hub) -> None:
    async with hub() as played, played.device("honest") as honest:
        run = await played.submit("work", device="honest")
        assign = await honest.assigned()
        async with played.device("liar") as liar:
            for epoch in (liar.link.welcome.epoch, assign.epoch):
                await liar.link.send(Progress(attempt=assign.attempt, epoch=epoch, text="forged"))
                await liar.answer(assign.attempt, "forged", epoch=epoch)
            other = await played.submit("work", device="liar")
            await liar.answer((await liar.assigned()).attempt, "own")
            assert await other.result() == {"s0": "own"}, "what came before it has been looked at"
        await honest.answer(assign.attempt, "true")
        assert await run.result() == {"s0": "true"}
        assert not [event async for event in run.events() if isinstance(event, StarProgress)]


async def test_a_device_can_not_answer_under_an_epoch_that_is_not_its_sessions(hub: Hub) -> None:
    async with hub() as played, played.device("rack") as rack:
        run = await played.submit("work")
        assign = await rack.assigned()
        for epoch in (0, assign.epoch - 1, assign.epoch + 1):
            await rack.answer(assign.attempt, "forged", epoch=epoch)
        await rack.answer(assign.attempt, "true")
        assert await run.result() == {"s0": "true"}


async def test_a_device_can_not_make_up_attempts(hub: Hub) -> None:
    async with hub() as played, played.device("rack") as rack:
        run = await played.submit("work")
        assign = await rack.assigned()
        for attempt in ("", "x", "../../etc/passwd", f"{assign.attempt}0", assign.attempt.replace("s0", "s1"), "\0"):
            await rack.answer(attempt, "forged")
        await rack.answer(assign.attempt, "true")
        settled = [event async for event in run.events() if isinstance(event, StarSettled)]
        assert [event.output for event in settled] == ["true"]


async def test_a_device_can_not_take_over_the_session_of_another(hub: Hub) -> None:
    async with hub() as played, played.device("honest") as honest:
        session = honest.link.welcome.session
        with pytest.raises(Refused, match="this session belongs to another device") as refusal:
            async with played.device("liar", session=session):
                pass
        assert refusal.value.code == "identity"
        await played.submit("work")
        assert (await honest.assigned()).work.tool == "work", "the session goes on"


async def test_a_session_can_not_be_taken_over_with_another_token_for_the_same_name(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("rack")
        async with played.device("rack", token) as rack:
            session = rack.link.welcome.session
            with pytest.raises(Refused, match="token is not valid"):
                async with played.device("rack", session=session):
                    pass
            played.store.remove("rack")
            again = played.token("rack")
            with pytest.raises(Refused, match="the session was opened with another token"):
                async with played.device("rack", again, session=session):
                    pass


async def test_a_name_that_is_taken_is_not_given_to_whoever_comes_later(hub: Hub) -> None:
    async with hub() as played, played.device("rack") as rack:
        with pytest.raises(Refused, match="a device named 'rack' is connected already") as refusal:
            async with played.device("rack"):
                pass
        assert refusal.value.retry
        await played.submit("work")
        await rack.assigned()


async def test_a_device_can_not_answer_for_work_that_it_was_given_in_an_earlier_session(hub: Hub) -> None:
    async with hub() as played:
        async with played.device("rack") as rack:
            run = await played.submit("work", idempotent=True)
            assign = await rack.assigned()
        async with played.device("rack") as rack:
            again = await rack.assigned()
            assert again.epoch > assign.epoch
            await rack.answer(assign.attempt, "forged", epoch=assign.epoch)
            await rack.answer(again.attempt, "true")
            assert await run.result() == {"s0": "true"}
