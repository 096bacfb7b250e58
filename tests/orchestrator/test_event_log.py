"""The event log: what readers see of it, at whatever pace they read."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.orchestrator import event_log
from constellation.orchestrator.event_log import EventLog
from constellation.orchestrator.events import Event, EventsMissed, RunFinished, RunPaused

pytestmark = pytest.mark.anyio


def publish(log: EventLog, count: int) -> None:
    for _ in range(count):
        log.publish(RunPaused(seq=log.next_seq, time=0.0, run=log.run))


def finish(log: EventLog) -> None:
    log.publish(
        RunFinished(
            seq=log.next_seq, time=0.0, run=log.run, state="succeeded", stars={}, width=0, makespan_s=0.0, error=None
        )
    )


@settings(max_examples=60, deadline=None)
@given(bursts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=12), after=st.integers(0, 30))
def test_every_reader_sees_each_event_once_in_order_or_is_told_how_many_it_missed(
    bursts: list[tuple[int, int]], after: int
) -> None:
    # A burst is how many events are published, and how many pages the reader takes after it.
    async def scenario() -> list[Event]:
        log = EventLog("r")
        log._kept = type(log._kept)(maxlen=16)
        seen: list[Event] = []
        at = after
        for published, pages in bursts:
            publish(log, published)
            for _ in range(pages):
                if at + 1 < log.next_seq:
                    page = await log.page(at)
                    seen += page
                    at = page[-1].seq
        publish(log, 31)
        finish(log)
        with anyio.fail_after(5):
            seen += [event async for event in log.read(after=at)]
        return seen

    seen = anyio.run(scenario)
    assert isinstance(seen[-1], RunFinished)
    assert sum(event.count if isinstance(event, EventsMissed) else 1 for event in seen) == seen[-1].seq - after
    for before, event in pairwise([RunPaused(seq=after, time=0.0, run="r"), *seen]):
        assert event.seq - before.seq == (event.count if isinstance(event, EventsMissed) else 1)


async def test_a_reader_that_waits_is_woken_by_each_event() -> None:
    log = EventLog("r")
    seen: list[int] = []
    woken = anyio.Event()

    async def reader() -> None:
        async for event in log.read():
            seen.append(event.seq)
            woken.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            publish(log, 1)
            await woken.wait()
            publish(log, 2)
            finish(log)
    assert seen == [1, 2, 3, 4]


async def test_a_reader_that_comes_after_the_last_event_is_not_kept_waiting() -> None:
    log = EventLog("r")
    publish(log, 2)
    finish(log)
    with anyio.fail_after(5):
        assert [event async for event in log.read(after=3)] == []
        assert [event async for event in log.read(after=99)] == []


async def test_nothing_comes_after_the_end() -> None:
    log = EventLog("r")
    finish(log)
    publish(log, 3)
    log.close(RuntimeError("too late to matter"))
    with anyio.fail_after(5):
        assert [event.event async for event in log.read()] == ["run_finished"]
        assert (await log.wait_finished()).seq == 1


async def test_readers_and_waiters_of_a_log_that_is_closed_are_told_why_after_what_was_before() -> None:
    log = EventLog("r")
    seen: list[int] = []
    errors: list[str] = []

    async def reader() -> None:
        try:
            async for event in log.read():
                seen.append(event.seq)
        except RuntimeError as error:
            errors.append(f"reader: {error}")

    async def waiter() -> None:
        try:
            await log.wait_finished()
        except RuntimeError as error:
            errors.append(f"waiter: {error}")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            tasks.start_soon(waiter)
            await anyio.wait_all_tasks_blocked()
            publish(log, 2)
            log.close(RuntimeError("closing"))
            log.close(RuntimeError("closed already"))
    assert seen == [1, 2]
    assert sorted(errors) == ["reader: closing", "waiter: closing"]


async def test_a_reader_far_behind_gets_what_is_kept_in_pages_of_bounded_size() -> None:
    log = EventLog("r")
    publish(log, event_log.MAX_KEPT + 10)
    (missed,) = await log.page(0)
    assert isinstance(missed, EventsMissed)
    assert missed.count == 10
    page = await log.page(missed.seq)
    assert [event.seq for event in page] == list(range(11, 11 + event_log._PAGE))
    page = await log.page(event_log.MAX_KEPT)
    assert [event.seq for event in page] == list(range(event_log.MAX_KEPT + 1, event_log.MAX_KEPT + 11))
