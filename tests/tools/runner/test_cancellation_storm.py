"""A thousand random cancellations on each event loop, of calls of every kind: each has one end, and nothing is left.

Tools run on the loop, in threads and in processes, alone or together, call other tools from all of these places, fail
and are tried again, and go on in the background. Single calls, calls that tools make, whole batches and whole runners
are cancelled at random moments. Afterwards tasks, threads, processes and seats are counted.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from random import Random
from typing import Any

import anyio
import anyio.from_thread
import psutil
import pytest
import trio
from anyio.abc import TaskStatus

from constellation_tools import Retry, ToolContext, ToolUnavailable, tool
from constellation_tools.dialects import ToolCall
from constellation_tools.runner import CallBatch, CallChanged, CallProgress, Delivery, ToolRunner
from constellation_tools.toolkits.processes import clean_environment, run_process

CANCELLATIONS = 200
"""For each of the seeds: a thousand on each loop."""

SEEDS = range(5)

JOIN_S = 60.0
"""How long threads may take to be gone; trio keeps idle ones for 10 seconds."""


class Inside:
    """Counts functions that have been entered and not left."""

    def __init__(self) -> None:
        self._lock, self._count, self.changed = threading.Lock(), 0, threading.Condition()

    def __enter__(self) -> None:
        with self.changed:
            self._count += 1

    def __exit__(self, *error: object) -> None:
        with self.changed:
            self._count -= 1
            self.changed.notify_all()

    def wait_until_none(self) -> bool:
        """Whether all of them have been left in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self._count == 0, timeout=JOIN_S)


INSIDE = Inside()
NEVER = threading.Event()


@tool
async def pause(ticks: int) -> int:
    """Wait on the loop."""
    with INSIDE:
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
    return ticks


@tool
def work(ticks: int, context: ToolContext) -> int:
    """Wait in a thread."""
    with INSIDE:
        for _ in range(ticks):
            context.check_cancelled()
            NEVER.wait(0.0002)
    return ticks


@tool(exclusive=True)
async def alone(ticks: int) -> int:
    """Wait without company."""
    return int(await pause._function(ticks))


@tool
async def flaky(ticks: int) -> int:
    """Fail, always."""
    with INSIDE:
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
    raise ToolUnavailable("not now")


@tool
async def fan(calls: list[dict[str, Any]], context: ToolContext) -> int:
    """Call other tools at once."""

    async def one(name: str, arguments: dict[str, Any]) -> None:
        await context.call(name, arguments)

    with INSIDE:
        async with anyio.create_task_group() as group:
            for each in calls:
                group.start_soon(one, each["tool"], each["arguments"])
    return len(calls)


@tool
def threaded_fan(calls: list[dict[str, Any]], context: ToolContext) -> int:
    """Call other tools from a thread, one after the other."""
    with INSIDE:
        for each in calls:
            anyio.from_thread.run(context.call, each["tool"], each["arguments"])
    return len(calls)


@tool
async def program(ticks: int) -> int:
    """Run a program that would not end."""
    with INSIDE:
        await run_process(
            "program",
            [sys.executable, "-S", "-c", "import time; time.sleep(1000)"],
            cwd="/",
            env=clean_environment("/"),
            timeout_s=0.001 * ticks + 0.01,
        )
    return ticks


@tool(background=True)
async def later(calls: list[dict[str, Any]], context: ToolContext) -> int:
    """Call other tools in the background."""
    return int(await fan._function(calls, context))


@tool(background=True)
def later_work(ticks: int, context: ToolContext) -> int:
    """Wait in a thread, in the background."""
    return int(work._function(ticks, context))


TOOLS = [pause, work, alone, flaky, fan, threaded_fan, program, later, later_work]


class Storm:
    """One seed's weather."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cancellations = 0
        self.ends: Counter[tuple[int, str]] = Counter()
        self.round = 0

    def call(self, depth: int = 0) -> tuple[str, dict[str, Any]]:
        """A tool and arguments at random."""
        simple = ["pause", "work", "flaky", "pause", "work"] + (["alone", "later_work", "wait"] if depth == 0 else [])
        if depth < 2 and self.random.random() < 0.4:
            name = self.random.choice(["fan", "threaded_fan"] + (["later"] if depth == 0 else []))
            inner = [self.call(depth + 1) for _ in range(self.random.randint(1, 3))]
            return name, {"calls": [{"tool": tool, "arguments": arguments} for tool, arguments in inner]}
        if self.random.random() < 0.02:
            return "program", {"ticks": self.random.randint(0, 50)}
        name = self.random.choice(simple)
        if name == "wait":
            return name, {"timeout_s": self.random.random() / 100, "mode": self.random.choice(["any", "all"])}
        return name, {"ticks": self.random.randint(0, 40)}

    def on_event(self, event: CallChanged | CallProgress) -> None:
        """Count the ends of calls."""
        if isinstance(event, CallChanged) and event.state.settled:
            self.ends[self.round, event.call.id] += 1

    async def blow(self) -> None:
        """One runner, a few batches, and cancellations meanwhile."""
        self.round += 1
        batches = []
        for number in range(self.random.randint(1, 3)):
            calls = [self.call() for _ in range(self.random.randint(1, 5))]
            ids = [f"{number}.{place}" for place in range(len(calls))]
            batches.append(CallBatch(ToolCall(id, name, args) for id, (name, args) in zip(ids, calls, strict=True)))
        delivered: list[Delivery] = []
        retry = Retry(attempts=3, first_s=0.001)
        runner = ToolRunner(TOOLS, max_concurrent=self.random.choice([1, 2, 8]), retry=retry, on_event=self.on_event)
        closes = self.random.random() < 0.3
        async with anyio.create_task_group() as group:
            async with runner:
                scopes = [anyio.CancelScope() for _ in batches]
                running = set(range(len(batches)))

                async def run(number: int, *, task_status: TaskStatus[None]) -> None:
                    task_status.started()  # only a run that has begun can be cut short by the end of the runner
                    with scopes[number]:
                        await runner.run(batches[number])
                    running.discard(number)

                for number in range(len(batches)):
                    await group.start(run, number)
                await self.strike(runner, scopes, running, closes)
                delivered += runner.collect()
        delivered += runner.collect()
        self.check(runner, batches, delivered)

    async def strike(self, runner: ToolRunner, scopes: list[Any], running: set[int], closes: bool) -> None:
        """Cancel this and that until the batches are done, or the runner is to be closed."""
        while running or runner.pending:
            for _ in range(self.random.randint(0, 30)):
                await anyio.lowlevel.checkpoint()
            active = [record.call.id for record in runner._execution.active]  # those that tools make among them
            kind = self.random.random()
            if kind < 0.7 and active:
                self.cancellations += runner.cancel(self.random.choice(active), reason="the storm")
            elif kind < 0.9 and running:
                scopes[self.random.choice(sorted(running))].cancel()
                self.cancellations += 1
            elif closes:
                self.cancellations += 1
                return

    def check(self, runner: ToolRunner, batches: list[CallBatch], delivered: list[Delivery]) -> None:
        """Every call has ended once and has one result; background calls have it later."""
        late = Counter(delivery.result.id for delivery in delivered)
        told_by_waiting = Counter(
            finished["handle"]
            for batch in batches
            for result in batch.results
            if result.name == "wait" and not result.is_error
            for finished in result.value["finished"]
        )
        for batch in batches:
            assert batch.done
            for entry in batch.entries:
                assert entry.result is not None
                assert entry.result.id == entry.call.id
                once = late[entry.call.id] + told_by_waiting[entry.call.id]
                assert once == int(entry.result.pending), f"{entry.call.name} was told {once} times"
                assert self.ends[self.round, entry.call.id] == 1
        assert all(count == 1 for count in self.ends.values())
        assert runner.pending == []
        assert runner._execution.active == set()
        admission = runner._execution.seats._admission
        assert (admission.running, admission.waiting) == (0, 0)


def living_tasks(backend: str) -> int:
    """How many tasks there are."""
    return len(asyncio.all_tasks()) if backend == "asyncio" else trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancellations_leave_no_call_without_an_end_and_nothing_behind(backend: str) -> None:
    threads = set(threading.enumerate())
    children = set(psutil.Process().children(recursive=True))
    cancellations = 0
    for seed in SEEDS:
        storm = Storm(seed)

        async def main(storm: Storm = storm) -> None:
            before = living_tasks(backend)
            while storm.cancellations < CANCELLATIONS:
                await storm.blow()
            assert await anyio.to_thread.run_sync(INSIDE.wait_until_none), "a tool has not been left"
            with anyio.fail_after(JOIN_S):  # what serves a thread that was left behind ends a turn after the thread
                while living_tasks(backend) > before:
                    await anyio.lowlevel.checkpoint()

        try:
            anyio.run(main, backend=backend)
        except BaseException as error:
            error.add_note(f"seed {seed}, round {storm.round}")
            raise
        cancellations += storm.cancellations
    assert cancellations >= 1_000
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(JOIN_S)
    assert not [thread for thread in left if thread.is_alive()]
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - children, timeout=JOIN_S)
    assert not alive
