"""Bringing runs back: whose a run is, what can be read, and what was half begun."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_journal import FaultyJournal, install
from orchestra_tools import add, wait_for

from constellation import Approval, Orchestrator, TaskConstellation
from constellation.graph import StarId
from constellation.graph.documents import dump
from constellation.journal import JournalUnavailable, Record, RunBusy
from constellation.journal.memory import MemoryJournal
from constellation.orchestrator import claims
from constellation.orchestrator import engine as module
from constellation.orchestrator import events as seen
from constellation.orchestrator.errors import AdmissionRefused, CannotResume, OrchestratorStopped, RunInUse
from constellation.orchestrator.recovery import (
    LEASE_S,
    claim,
    machine_name,
    owner_name,
    read_entries,
    read_family,
    replay,
)
from constellation.orchestrator.turns import Turns
from constellation.scheduling import AttemptId, DeviceId, JournalEntry, Offer, RunId, RunOptions, Scheduler, Step
from constellation.scheduling import events as ev
from constellation.scheduling.inputs import DeviceJoined
from constellation.scheduling.records import encode_entry

pytestmark = pytest.mark.anyio


def approval(name: str = "waits") -> TaskConstellation:
    """A graph that needs no device and waits for a person."""
    graph = TaskConstellation(name)
    graph.star("ask", Approval("Go on?"))
    return graph


async def begun(journal: FaultyJournal, run: str, *, parent: str | None = None) -> None:
    await journal.create_run(run, name=run, at=1.0, parent=parent)
    started = ev.RunStarted(1.0, RunId(run), dump(approval()), RunOptions())
    await journal.append([Record(run, 1, 1.0, started.kind, encode_entry(JournalEntry(started)))])
    await journal.set_state(run, "running", at=1.0)


# --- claims ---------------------------------------------------------------------------------------------------------


async def test_a_run_of_a_living_owner_is_in_use_until_its_claim_runs_out() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    other = f"{machine_name()}/{os.getppid()}/{int(psutil.Process(os.getppid()).create_time() * 1000)}"
    for owner in (other, "another-host/1/1", f"{machine_name()}/nonsense"):
        await journal.acquire("r", owner=owner, at=10.0, lease_s=LEASE_S)
        with pytest.raises(RunInUse, match="another orchestrator") as refusal:
            await claim(journal, "r", owner="me", at=11.0)
        assert f"another {LEASE_S - 1:.0f} s" in str(refusal.value)
        await journal.release("r", owner=owner)
    await journal.acquire("r", owner=other, at=10.0, lease_s=LEASE_S)
    await claim(journal, "r", owner="me", at=10.0 + LEASE_S + 1)
    with pytest.raises(RunBusy):
        await journal.acquire("r", owner=other, at=11.0 + LEASE_S, lease_s=LEASE_S)


async def test_a_run_of_a_dead_owner_is_taken_at_once_even_when_its_process_id_is_used_again() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    process = await anyio.open_process([sys.executable, "-c", ""])
    await process.wait()
    await process.aclose()
    for owner in (f"{machine_name()}/{process.pid}/1", f"{machine_name()}/{os.getpid()}/1"):
        await journal.acquire("r", owner=owner, at=10.0, lease_s=LEASE_S)
        await claim(journal, "r", owner=owner_name(), at=11.0)
        await journal.release("r", owner=owner_name())


async def test_an_owner_that_has_ended_is_dead_although_nobody_has_asked_for_its_end() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    process = psutil.Popen([sys.executable, "-c", ""])
    try:
        owner = f"{machine_name()}/{process.pid}/{int(process.create_time() * 1000)}"
        await anyio.to_thread.run_sync(os.waitid, os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        await journal.acquire("r", owner=owner, at=10.0, lease_s=LEASE_S)
        await claim(journal, "r", owner=owner_name(), at=11.0)
    finally:
        await anyio.to_thread.run_sync(process.wait)


async def test_process_ids_of_another_boot_or_container_say_nothing_of_whether_an_owner_lives() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    host = machine_name().partition("~")[0]
    await journal.acquire("r", owner=f"{host}~00000000/{os.getpid()}/1", at=10.0, lease_s=LEASE_S)
    with pytest.raises(RunInUse):
        await claim(journal, "r", owner=owner_name(), at=11.0)


# --- records --------------------------------------------------------------------------------------------------------


async def test_records_of_a_newer_version_are_refused_with_what_to_do() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    await journal.append([Record("r", 2, 2.0, "future", b'{"v":99,"event":{}}')])
    with pytest.raises(CannotResume, match=r"record 2 .* upgrade"):
        await read_entries(journal, "r")


async def test_a_run_without_its_first_record_is_refused() -> None:
    journal = FaultyJournal()
    await journal.create_run("empty", name="", at=1.0)
    with pytest.raises(CannotResume, match="submit it again"):
        await read_entries(journal, "empty")
    await journal.create_run("headless", name="", at=1.0)
    paused = JournalEntry(ev.RunPaused(1.0, RunId("headless")))
    await journal.append([Record("headless", 1, 1.0, "run_paused", encode_entry(paused))])
    with pytest.raises(CannotResume, match="submit it again"):
        await read_entries(journal, "headless")
    with pytest.raises(CannotResume, match="not its start"):
        replay([paused])


async def test_a_family_is_read_outer_runs_first_and_a_nested_run_that_never_began_is_removed() -> None:
    journal = FaultyJournal()
    await begun(journal, "r")
    await begun(journal, "r:a", parent="r")
    await begun(journal, "r:a:b", parent="r:a")
    await begun(journal, "unrelated")
    await journal.create_run("r:half", name="", at=2.0, parent="r")
    await journal.create_run("r:half:deep", name="", at=2.0, parent="r:half")  # begun in the same group of records
    assert list(await read_family(journal, "r")) == ["r", "r:a", "r:a:b"]
    assert {summary.run for summary in await journal.runs()} == {"r", "r:a", "r:a:b", "unrelated"}


# --- orchestrators --------------------------------------------------------------------------------------------------


async def test_a_submission_that_is_cancelled_leaves_a_run_that_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            journal.gate = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orchestrator.submit, approval())
                await journal.at_gate.wait()
                tasks.cancel_scope.cancel()
                journal.gate.set()
            (summary,) = await orchestrator.runs()
            run = await orchestrator.find_run(summary.run)
            await run.approve("ask")
            assert (await run.wait()).state == "succeeded"


async def test_a_submission_that_is_refused_late_leaves_nothing_in_the_journal() -> None:
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            orchestrator._book.engine.stop()
            with pytest.raises(OrchestratorStopped):
                await orchestrator.submit(approval())
            assert await orchestrator.runs() == []
            with pytest.raises(ValueError, match="'fleet'"):
                await orchestrator.submit(approval(), info={"fleet": "../../elsewhere"})


async def test_when_the_orchestrator_closes_whoever_waits_for_its_runs_is_told() -> None:
    ends: list[str] = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            async with Orchestrator.local(devices=1) as orchestrator:
                run = await orchestrator.submit(approval())

                async def waiter() -> None:
                    with pytest.raises(OrchestratorStopped):
                        await run.wait()
                    ends.append("waiter")

                async def watcher() -> None:
                    with pytest.raises(OrchestratorStopped):
                        async for _ in run.events():
                            pass
                    ends.append("watcher")

                tasks.start_soon(waiter)
                tasks.start_soon(watcher)
                await anyio.wait_all_tasks_blocked()
    assert sorted(ends) == ["waiter", "watcher"]


@pytest.mark.parametrize("call", ["append", "set_state"])
async def test_a_journal_that_fails_comes_out_as_one_named_error_and_closes_the_devices(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    graph = TaskConstellation("sums")
    first = graph.star("first", add, a=1, b=1)
    graph.star("second", add, a=first.output, b=1)
    with pytest.raises(JournalUnavailable, match="the disk is full"), anyio.fail_after(20):  # noqa: PT012 - a context
        async with Orchestrator.local(devices=2) as orchestrator:
            devices = list(orchestrator._book.offering._devices)
            run = await orchestrator.submit(graph)
            journal.broken |= {call, "release"}
            await run.result()
    for device in devices:
        with anyio.fail_after(1):
            assert await device.wait_ended() == "it was closed"


def test_a_journal_that_fails_several_at_once_is_one_error_unless_something_else_failed_too() -> None:
    full = JournalUnavailable("memory", "the disk is full")
    with pytest.raises(JournalUnavailable), module.one_journal_error():
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [full]), JournalUnavailable("memory", "still full")])
    with pytest.raises(ExceptionGroup), module.one_journal_error():
        raise ExceptionGroup("tasks", [full, ZeroDivisionError()])


async def test_a_claim_that_is_lost_ends_that_run_here_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    monkeypatch.setattr(claims, "RENEW_S", 0.01)
    inner = TaskConstellation("outer")
    inner.star("nested", approval())
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            kept = await orchestrator.submit(approval())
            taken = await orchestrator.submit(inner)
            nested = await orchestrator.find_run(f"{taken.id}:nested")
            await journal.release(taken.id, owner=owner_name())
            await journal.acquire(taken.id, owner="another/1/1", at=orchestrator._book.engine.clock(), lease_s=60.0)
            for run in (taken, nested):
                with pytest.raises(RunInUse, match="taken over"):
                    await run.wait()
            await kept.approve("ask")
            assert (await kept.wait()).state == "succeeded"
            with pytest.raises(RunInUse):
                await orchestrator.resume(taken.id)


@pytest.mark.parametrize("others_record", [True, False], ids=["its record is refused", "its record is stored"])
async def test_a_claim_that_is_lost_while_the_run_is_being_written_to_ends_that_run_alone(
    monkeypatch: pytest.MonkeyPatch, others_record: bool
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    monkeypatch.setattr(claims, "RENEW_S", 0.01)
    refused = anyio.Event()
    acquire = journal.acquire

    async def noticed(run: str, *, owner: str, at: float, lease_s: float) -> None:
        try:
            await acquire(run, owner=owner, at=at, lease_s=lease_s)
        except RunBusy:
            refused.set()
            raise

    paused: list[bool] = []

    async def pause() -> None:
        try:
            await taken.pause()
        except RunInUse:
            paused.append(False)
        else:
            paused.append(True)

    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator, anyio.create_task_group() as tasks:
            kept = await orchestrator.submit(approval())
            taken = await orchestrator.submit(approval())
            journal.gate = anyio.Event()
            tasks.start_soon(pause)
            await journal.at_gate.wait()
            await journal.release(taken.id, owner=owner_name())
            await journal.acquire(taken.id, owner="another/1/1", at=orchestrator._book.engine.clock(), lease_s=60.0)
            if others_record:
                recovered = ev.RunRecovered(2.0, RunId(taken.id))
                body = encode_entry(JournalEntry(recovered))
                await MemoryJournal.append(journal, [Record(taken.id, 2, 2.0, recovered.kind, body)])
            monkeypatch.setattr(journal, "acquire", noticed)
            await refused.wait()  # it is known to be lost before the record comes through
            await anyio.wait_all_tasks_blocked()
            journal.gate.set()
            with pytest.raises(RunInUse, match="taken over"):
                await taken.wait()
            await kept.approve("ask")
            assert (await kept.wait()).state == "succeeded"
    assert paused == [not others_record], "what was asked is stored, or it is told that it is not"


async def test_a_run_that_is_found_to_be_lost_in_two_ways_at_once_is_let_go_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, journal := FaultyJournal())
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            kept, taken = await orchestrator.submit(approval()), await orchestrator.submit(approval())
            busy = RunBusy(taken.id, "another/1/1", 60.0, at=1.0)
            for _ in range(2):
                orchestrator._book.engine.disown(RunId(taken.id), busy)
            recovered = ev.RunRecovered(2.0, RunId(taken.id))
            body = encode_entry(JournalEntry(recovered))
            await MemoryJournal.append(journal, [Record(taken.id, 2, 2.0, recovered.kind, body)])
            with pytest.raises(RunInUse, match="taken over"):
                await taken.wait()
            await kept.approve("ask")
            assert (await kept.wait()).state == "succeeded"


async def test_a_nested_run_that_was_being_begun_when_the_orchestrator_died_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    outer = TaskConstellation("outer")
    gate = outer.star("gate", Approval("Begin?"))
    outer.star("nested", approval("inner"), after=[gate])
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            run = await orchestrator.submit(outer)
        await journal.create_run(f"{run.id}:nested", name="inner", at=2.0, parent=run.id)
        async with Orchestrator.local(devices=1) as orchestrator:
            again = await orchestrator.resume(run.id)
            await again.approve("gate")
            async for event in again.events():
                if isinstance(event, seen.StarSettled) and event.star == "gate":
                    break
            inner = await orchestrator.find_run(f"{run.id}:nested")
            await inner.approve("ask")
            assert (await again.wait()).state == "succeeded"


async def test_nested_runs_go_on_with_their_parent_and_ended_ones_are_not_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    outer = TaskConstellation("outer")
    for name in ("one", "two"):
        outer.star(name, approval(name))
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            run = await orchestrator.submit(outer)
            one = await orchestrator.find_run(f"{run.id}:one")
            await one.approve("ask")
            await one.wait()
        async with Orchestrator.local(devices=1) as orchestrator:
            again = await orchestrator.resume(run.id)
            assert await orchestrator.resume(run.id) is again
            assert await orchestrator.find_run(run.id[:-1]) is again
            assert [held.id for held in orchestrator._book.runs.values()] == [run.id, f"{run.id}:two"]
            await (await orchestrator.find_run(f"{run.id}:two")).approve("ask")
            report = await again.wait()
            assert report.stars == {"succeeded": 2}
    with pytest.raises(CannotResume, match="has succeeded already"):
        async with Orchestrator.local(devices=1) as orchestrator:
            await orchestrator.resume(run.id)
    await journal.acquire(run.id, owner="another", at=0.0, lease_s=1.0)  # nobody has kept a claim


async def test_a_run_that_the_devices_can_not_carry_out_is_not_taken_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    gate = tmp_path / "gate"
    graph = TaskConstellation("needs a tool")
    graph.star("waits", wait_for, path=str(gate))
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            run = await orchestrator.submit(graph)
        async with Orchestrator.local(devices=1) as orchestrator:
            with pytest.raises(AdmissionRefused, match="'wait_for'"):
                await orchestrator.resume(run.id)
            assert orchestrator._book.runs == {}
        gate.write_text("go")
        async with Orchestrator.local(devices=1, tools=[wait_for]) as orchestrator:
            again = await orchestrator.resume(run.id, rerun_unknown=True)
            assert await again.result() == {"waits": "go"}


async def test_a_run_that_two_take_up_at_once_is_taken_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator:
            run = await orchestrator.submit(approval())
        async with Orchestrator.local(devices=1) as orchestrator:
            taken: list[object] = []

            async def take() -> None:
                taken.append(await orchestrator.resume(run.id))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                tasks.start_soon(take)
            assert taken[0] is taken[1]


async def test_a_planner_that_answers_after_the_end_of_its_run_adds_nothing_to_it() -> None:
    asked, answer = anyio.Event(), anyio.Event()

    async def planner(review: object) -> None:
        asked.set()
        await answer.wait()
        raise ZeroDivisionError("too late")

    graph = TaskConstellation("cancelled")
    first = graph.star("first", add, a=1, b=1)
    graph.star("second", add, a=first.output, b=1)
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1, planner=planner) as orchestrator:
            run = await orchestrator.submit(graph)
            await asked.wait()
            await run.cancel()
            await run.wait()
            last = run.log.next_seq
            answer.set()
            await anyio.wait_all_tasks_blocked()
            assert run.log.next_seq == last
            assert [event async for event in run.events(after=last - 1)] == []


async def test_a_run_that_ended_before_what_is_nested_in_it_is_taken_up_until_that_has_ended_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = FaultyJournal()
    install(monkeypatch, journal)
    await interrupted_in_the_end(journal)
    assert (await journal.run("r")).state == "running"
    with anyio.fail_after(20):
        async with Orchestrator.serve(home=tmp_path, token="secret") as hub:
            report = await (await hub.find_run("r")).wait()
    assert report.state == "cancelled"
    assert (await journal.run("r")).state == (await journal.run("r:n")).state == "cancelled"


async def interrupted_in_the_end(journal: FaultyJournal) -> None:
    """A run that was cancelled by an orchestrator that died before what is nested in it had stopped on its device."""
    inner, outer = TaskConstellation("inner"), TaskConstellation("outer")
    inner.star("x", "t")
    outer.star("n", inner)
    scheduler, now = Scheduler(), time.time()
    device = DeviceId("d")
    events = [
        DeviceJoined(now, device, 1, Offer(tools={"t": True})),
        ev.RunStarted(now, RunId("r"), dump(outer), RunOptions(cancel_grace_s=0.1)),
        ev.AttemptStarted(now, RunId("r:n"), StarId("x"), AttemptId("r:n/x/1"), device, 1),
        ev.CancelRequested(now, RunId("r")),
    ]
    turns, turn = Turns(scheduler), Step()
    for event in events:
        assert turns.take([event], turn) is None
    assert (scheduler.runs[RunId("r")].ended, scheduler.runs[RunId("r:n")].ended) == (True, False)
    for run, parent in (("r", None), ("r:n", "r")):
        await journal.create_run(run, name=run, at=now, parent=parent)
    await journal.set_state("r", "running", at=now)
    await journal.append(turns.records(turn))
