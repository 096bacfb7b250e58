"""The engine: journal before effect, and what becomes of those who wait when it stops, fails or loses a run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_journal import FaultyJournal

from constellation import TaskConstellation
from constellation.graph.documents import dump
from constellation.journal import JournalAway, JournalError, JournalUnavailable, Record, RunBusy, RunNotFound
from constellation.orchestrator.engine import Engine
from constellation.orchestrator.errors import OrchestratorStopped, RunInUse
from constellation.scheduling import JournalEntry, RunId, RunOptions, Scheduler, UnknownRun
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev

pytestmark = pytest.mark.anyio


class Notes:
    """A carrier that notes what it is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.commands: list[cmd.Command] = []
        self.engine: Engine
        self.taken: list[RunId] = []

    def entered(self, entry: JournalEntry) -> None:
        self.kinds.append(f"{entry.event.run} {entry.event.kind}")

    def carry_out(self, commands: Sequence[cmd.Command], at: float) -> None:
        self.commands += commands

    def lost(self, run: RunId, error: JournalError) -> set[RunId]:
        self.engine.let_go(run)
        self.taken.append(run)
        return {run}


class Bench:
    def __init__(self) -> None:
        self.journal = FaultyJournal()
        self.notes = Notes()
        self.engine = self.notes.engine = Engine(Scheduler(), self.journal, self.notes)

    async def begin(self, run: str, *, deadline_s: float | None = None) -> None:
        graph = TaskConstellation(run)
        graph.star("only", "anything")
        now = self.engine.clock()
        await self.journal.create_run(run, name=run, at=now)
        await self.engine.ask(ev.RunStarted(now, RunId(run), dump(graph), RunOptions(deadline_s=deadline_s)))

    def pause(self, run: str) -> ev.RunPaused:
        return ev.RunPaused(self.engine.clock(), RunId(run))

    def unpause(self, run: str) -> ev.RunUnpaused:
        return ev.RunUnpaused(self.engine.clock(), RunId(run))


@asynccontextmanager
async def working() -> AsyncIterator[Bench]:
    bench = Bench()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.engine.run)
            yield bench
            bench.engine.stop()


async def test_nothing_is_told_or_done_before_the_journal_has_it() -> None:
    async with working() as bench, anyio.create_task_group() as tasks:
        bench.journal.gate = anyio.Event()
        tasks.start_soon(bench.begin, "r")
        await bench.journal.at_gate.wait()
        assert bench.notes.kinds == []
        bench.journal.gate.set()
    assert bench.notes.kinds == ["r run_started"]


async def test_what_comes_while_the_journal_is_busy_is_stored_as_one_group() -> None:
    groups: list[int] = []

    async with working() as bench:
        await bench.begin("r")
        append = bench.journal.append

        async def counted(records: list[Record]) -> None:
            groups.append(len(records))
            await append(records)

        bench.journal.append = counted  # type: ignore[method-assign, assignment]
        bench.journal.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.engine.ask, bench.pause("r"))
            await bench.journal.at_gate.wait()
            for event in (bench.unpause("r"), bench.pause("r"), bench.unpause("r")):
                bench.engine.post(event)
            bench.journal.gate.set()
        await bench.engine.ask(bench.pause("r"))
    assert groups[0] == 1
    assert sum(groups) == 5
    assert len(groups) <= 3


async def test_a_request_that_can_not_be_granted_fails_for_its_asker_only() -> None:
    async with working() as bench:
        await bench.begin("r")
        with pytest.raises(UnknownRun):
            await bench.engine.ask(bench.pause("nothing"))
        await bench.engine.ask(bench.pause("r"))
    assert bench.notes.kinds[-1] == "r run_paused"


async def test_what_was_asked_happens_even_when_the_asker_is_cancelled() -> None:
    async with working() as bench:
        await bench.begin("r")
        bench.journal.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.engine.ask, bench.pause("r"))
            await bench.journal.at_gate.wait()
            tasks.cancel_scope.cancel()
        bench.journal.gate.set()
        await bench.engine.ask(bench.unpause("r"))
    assert bench.notes.kinds[-2:] == ["r run_paused", "r run_unpaused"]


async def test_timers_fire_without_anything_coming_in() -> None:
    async with working() as bench:
        await bench.begin("r", deadline_s=0.02)
        while not any(isinstance(command, cmd.RunSettled) for command in bench.notes.commands):
            await anyio.lowlevel.checkpoint()
    assert "timer_fired" in [record.kind async for record in bench.journal.read("r")]


@pytest.mark.parametrize("how", ["stopped", "cancelled", "journal fails"])
async def test_those_who_wait_are_told_when_the_engine_ends(how: str) -> None:
    bench = Bench()
    outcomes: list[str] = []

    async def asker(event: ev.RunEvent) -> None:
        try:
            await bench.engine.ask(event)
            outcomes.append("done")
        except OrchestratorStopped:
            outcomes.append("stopped")

    async def engine() -> None:
        try:
            await bench.engine.run()
        except JournalUnavailable:
            outcomes.append("failed")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as askers, anyio.create_task_group() as tasks:
            tasks.start_soon(engine)
            await bench.begin("r")
            bench.journal.gate = anyio.Event()
            askers.start_soon(asker, bench.pause("r"))
            await bench.journal.at_gate.wait()
            askers.start_soon(asker, bench.unpause("r"))  # which comes while the first is being stored
            await anyio.wait_all_tasks_blocked()
            if how == "stopped":
                bench.engine.stop()
                bench.journal.gate.set()
            elif how == "cancelled":
                tasks.cancel_scope.cancel()
            else:
                bench.journal.broken.add("append")
                bench.journal.gate.set()
        with pytest.raises(OrchestratorStopped):
            await bench.engine.ask(bench.pause("r"))
        bench.engine.post(bench.pause("r"))  # which nobody takes
    expected = {
        "stopped": ["done", "stopped"],  # what was being stored is still stored
        "cancelled": ["stopped", "stopped"],
        "journal fails": ["failed", "stopped", "stopped"],
    }
    assert sorted(outcomes) == expected[how]


async def test_a_run_that_another_writer_has_is_let_go_and_the_others_go_on() -> None:
    async with working() as bench:
        await bench.begin("mine")
        await bench.begin("theirs")
        (last,) = [record async for record in bench.journal.read("theirs")]
        await bench.journal.append([Record("theirs", last.seq + 1, last.at, "run_recovered", b"{}")])
        bench.journal.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.engine.ask, bench.pause("mine"))
            await bench.journal.at_gate.wait()
            bench.engine.post(bench.pause("theirs"))
            bench.engine.post(bench.unpause("mine"))
            bench.journal.gate.set()
        await bench.engine.ask(bench.pause("mine"))
        with pytest.raises(UnknownRun):
            await bench.engine.ask(bench.pause("theirs"))
    assert bench.notes.taken == [RunId("theirs")]
    assert [kind for kind in bench.notes.kinds if kind.startswith("theirs")] == ["theirs run_started"]
    assert bench.notes.kinds[-3:] == ["mine run_paused", "mine run_unpaused", "mine run_paused"]
    assert [record.seq async for record in bench.journal.read("mine")] == [1, 2, 3, 4]


async def test_an_event_without_an_asker_that_does_not_fit_is_a_fault_and_ends_the_engine() -> None:
    bench = Bench()
    bench.engine.post(bench.pause("nothing"))
    with pytest.raises(UnknownRun), anyio.fail_after(10):
        await bench.engine.run()


@pytest.mark.parametrize("why", ["busy", "gone"])
async def test_a_run_that_turns_out_to_be_anothers_while_its_journal_was_away_is_let_go_of_alone(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working() as bench:
        await bench.begin("lost")
        await bench.begin("kept")
        append = bench.journal.append

        async def append_kept(records: Sequence[Record]) -> None:
            if any(record.run == "lost" for record in records):
                raise RunBusy("lost", "another/1/1", 9.0, at=1.0) if why == "busy" else RunNotFound("lost")
            await append(records)

        monkeypatch.setattr(bench.journal, "append", append_kept)
        with pytest.raises(RunInUse):
            await bench.engine.ask(bench.pause("lost"))
        await bench.engine.ask(bench.pause("kept"))
        assert bench.notes.taken == ["lost"]
        assert "lost" not in bench.engine.scheduler.runs
        assert [record.kind async for record in bench.journal.read("kept")][-1] == "run_paused"


async def test_a_run_that_could_not_even_begin_is_nobodys_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    async with working() as bench:
        monkeypatch.setattr(bench.notes, "lost", lambda run, _: {run})  # as of one that is not in hand yet

        async def append(records: Sequence[Record]) -> None:
            raise RunNotFound(records[0].run)

        monkeypatch.setattr(bench.journal, "append", append)
        with pytest.raises(RunInUse):
            await bench.begin("new")
        assert "new" not in bench.engine.scheduler.runs


async def test_a_journal_that_is_away_ends_the_engine_unless_it_has_been_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stopped in (True, False):
        bench = Bench()
        at_journal, answer = anyio.Event(), anyio.Event()

        async def append(
            records: Sequence[Record], at_journal: anyio.Event = at_journal, answer: anyio.Event = answer
        ) -> None:
            at_journal.set()
            await answer.wait()
            raise JournalAway("memory", "gone")

        monkeypatch.setattr(bench.journal, "append", append)
        failed: list[Exception] = []

        async def run(bench: Bench = bench, failed: list[Exception] = failed) -> None:
            try:
                await bench.engine.run()
            except JournalAway as error:
                failed.append(error)

        async def begin(bench: Bench = bench) -> None:
            with pytest.raises(OrchestratorStopped):
                await bench.begin("new")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                tasks.start_soon(begin)
                await at_journal.wait()
                if stopped:
                    bench.engine.stop()
                answer.set()
        assert bool(failed) is not stopped
        assert bench.notes.kinds == [], "nothing is told that is not stored"
