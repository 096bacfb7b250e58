"""Standing by: runs whose orchestrators are gone are taken over, and devices that work for others are sent away."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_journal import FaultyJournal, install

from constellation import AdmissionRefused, Approval, Orchestrator, Run, TaskConstellation
from constellation.graph.documents import dump
from constellation.journal import JournalUnavailable, Record, RunBusy
from constellation.journal.memory import MemoryJournal
from constellation.orchestrator import claims, intake
from constellation.orchestrator import hub as hub_module
from constellation.orchestrator import standby as module
from constellation.orchestrator.credentials import Grant
from constellation.orchestrator.errors import RunInUse
from constellation.orchestrator.recovery import LEASE_S, owner_name
from constellation.orchestrator.standby import Standby
from constellation.scheduling import JournalEntry, RunId, RunOptions
from constellation.scheduling import events as ev
from constellation.scheduling.records import encode_entry
from constellation_protocol import LinkClosed, Refused, dial
from constellation_protocol.link import Link
from constellation_protocol.messages import Accept, Assign, DeviceProfile, Hello, Message, Result, ToolInfo

pytestmark = pytest.mark.anyio

OTHER = "another-host/1/1"


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> FaultyJournal:
    """What all hubs of a test share."""
    shared = FaultyJournal()
    install(monkeypatch, shared)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    return shared


async def left_behind(journal: FaultyJournal, run: str, *, lease_s: float, parent: str | None = None) -> None:
    """A run that waits for a person, and that another hub has, or had until its claim ran out."""
    graph = TaskConstellation(run)
    graph.star("ask", Approval("Go on?"))
    started = ev.RunStarted(1.0, RunId(run), dump(graph), RunOptions())
    await journal.create_run(run, name=run, at=1.0, parent=parent)
    await MemoryJournal.append(journal, [Record(run, 1, 1.0, started.kind, encode_entry(JournalEntry(started)))])
    if parent is None:
        await journal.set_state(run, "running", at=1.0)
    await journal.acquire(run, owner=OTHER, at=time.time(), lease_s=lease_s)


async def until(seen: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not seen():
            await anyio.sleep(0.001)


@asynccontextmanager
async def standing_by(journal: FaultyJournal) -> AsyncIterator[tuple[Orchestrator, Standby]]:
    async with Orchestrator.serve(token="t") as hub:
        yield hub, Standby(hub._book, hub._intake)


async def test_a_run_is_taken_over_when_the_claim_of_its_owner_has_run_out(journal: FaultyJournal) -> None:
    await left_behind(journal, "r", lease_s=0.5)
    async with standing_by(journal) as (hub, _):
        assert "r" not in hub._book.runs, "its claim lasts"
        await until(lambda: "r" in hub._book.runs)
        run = await hub.find_run("r")
        await run.approve("ask")
        assert (await run.wait()).state == "succeeded"


async def test_a_run_whose_owner_renews_its_claim_is_left_alone(journal: FaultyJournal) -> None:
    await left_behind(journal, "r", lease_s=LEASE_S)
    async with standing_by(journal) as (hub, standby):
        await standby.look()
        assert hub._book.runs == {}


async def test_a_run_whose_owner_writes_once_more_while_it_is_taken_over_is_taken_at_the_next_look(
    journal: FaultyJournal,
) -> None:
    async with standing_by(journal) as (hub, _):
        journal.gate = anyio.Event()
        await left_behind(journal, "r", lease_s=0.0)
        await journal.at_gate.wait()
        last_word = JournalEntry(ev.RunPaused(2.0, RunId("r")))
        await MemoryJournal.append(journal, [Record("r", 2, 2.0, "run_paused", encode_entry(last_word))])
        journal.gate.set()
        await until(lambda: "r" in hub._book.runs and hub._book.runs[RunId("r")].machine.state == "paused")
        assert [record.kind async for record in journal.read("r")][:2] == ["run_started", "run_paused"]


async def test_a_run_that_cannot_be_read_is_tried_once(journal: FaultyJournal) -> None:
    await left_behind(journal, "r", lease_s=0.0)
    await journal.append([Record("r", 2, 2.0, "future", b'{"v":99,"event":{}}')])
    async with standing_by(journal) as (hub, standby):
        await standby.look()
        await journal.acquire("r", owner=OTHER, at=0.0, lease_s=1.0)  # it was let go of again
        await standby.look()
        assert hub._book.runs == {}
        assert await standby.admit(Hello(device="d", running=("r/ask/1",)), Grant()) > 0, (
            "nobody will ever want its work"
        )


async def test_a_journal_that_fails_for_a_moment_is_looked_at_again(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (hub, _):
        runs = journal.runs
        looked = []

        async def fail(**options: object) -> object:
            looked.append(options)
            if len(looked) < 3:
                raise JournalUnavailable("memory", "it is busy")
            return await runs(**options)  # type: ignore[arg-type]

        monkeypatch.setattr(journal, "runs", fail)
        await left_behind(journal, "r", lease_s=0.0)
        await until(lambda: "r" in hub._book.runs)
        assert len(looked) >= 3


async def test_a_device_that_works_for_a_run_of_another_hub_is_sent_away_until_the_run_is_here(
    journal: FaultyJournal,
) -> None:
    await left_behind(journal, "r", lease_s=LEASE_S)
    await left_behind(journal, "r:inner", lease_s=0.0, parent="r")
    async with standing_by(journal) as (hub, standby):
        for known in ({"running": ("r/ask/1",)}, {"finished": ("r/ask/1",)}, {"running": ("r:inner/ask/1",)}):
            with pytest.raises(Refused, match=r"works for run r.* another hub") as refusal:
                await standby.admit(Hello(device="d", **known), Grant())
            assert refusal.value.retry
        assert await standby.admit(Hello(device="d", running=("nobody/a/1", "odd")), Grant()) > 0
        assert await standby.admit(Hello(device="d"), Grant()) > 0
        await journal.release("r", owner=OTHER)
        await until(lambda: "r" in hub._book.runs)
        assert await standby.admit(Hello(device="d", running=("r/ask/1",), finished=("r:inner/ask/1",)), Grant()) > 0


async def test_a_device_is_to_come_again_when_the_journal_cannot_be_asked(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (_, standby):

        async def fail(run: str) -> object:
            raise JournalUnavailable("memory", "it is busy")

        monkeypatch.setattr(journal, "run", fail)
        with pytest.raises(Refused, match="it is busy") as refusal:
            await standby.admit(Hello(device="d", running=("r/ask/1",)), Grant())
        assert refusal.value.retry


# --- devices follow the runs ----------------------------------------------------------------------------------------

IDLE = Hello(device="d", elsewhere=True)


async def hub_run(journal: FaultyJournal, run: str) -> None:
    """A run of another hub."""
    await left_behind(journal, run, lease_s=LEASE_S)
    await journal.set_state(run, "running", at=1.0, info={"hub": True})


async def test_a_device_without_work_is_sent_to_the_hub_that_has_some_if_it_knows_others(
    journal: FaultyJournal,
) -> None:
    async with standing_by(journal) as (hub, standby):
        assert await standby.admit(IDLE, Grant()) > 0, "nothing goes on anywhere"
        await left_behind(journal, "somebody's", lease_s=LEASE_S)
        assert await standby.admit(IDLE, Grant()) > 0, "what goes on is no hub's"
        await hub_run(journal, "r")
        with pytest.raises(Refused, match="this hub stands by") as refusal:
            await standby.admit(IDLE, Grant())
        assert refusal.value.retry
        assert await standby.admit(Hello(device="d"), Grant()) > 0, "it has nowhere else to go"
        graph = TaskConstellation("own")
        graph.star("ask", Approval("Go on?"))
        run = await hub.submit(graph)
        assert await standby.admit(IDLE, Grant()) > 0, "there is work here too"
        await run.approve("ask")
        await run.wait()
        with pytest.raises(Refused, match="this hub stands by"):
            await standby.admit(IDLE, Grant())


async def test_a_device_without_work_is_to_come_again_when_the_journal_cannot_be_asked(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (_, standby):

        async def fail(**options: object) -> object:
            raise JournalUnavailable("memory", "it is busy")

        monkeypatch.setattr(journal, "runs", fail)
        with pytest.raises(Refused, match="it is busy") as refusal:
            await standby.admit(IDLE, Grant())
        assert refusal.value.retry


@asynccontextmanager
async def joined(hub: Orchestrator, name: str, **told: Any) -> AsyncIterator[tuple[Link, list[Message]]]:
    """A device that the test plays, over a real connection; and the messages of it that were acknowledged."""
    acked: list[Message] = []
    hello = Hello(device=name, token="t", profile=DeviceProfile(slots=2, tools=(ToolInfo(name="work"),)), **told)
    with anyio.fail_after(20):
        async with dial(hub.url, lambda: hello, on_acked=acked.extend) as link:
            yield link, acked


async def test_work_of_a_run_that_a_hub_with_a_later_clock_had_is_not_lost(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (first, _), joined(first, "d", memory="m") as (link, _):
        graph = TaskConstellation("own")
        graph.star("s", "work", idempotent=False)
        run = await first.submit(graph)
        (assign,) = await link.receive()
        assert isinstance(assign, Assign)
        first._book.stop()  # so that the device does not leave before its hub has gone
    monkeypatch.setattr(hub_module, "time", SimpleNamespace(time=lambda: time.time() - 3600))
    async with standing_by(journal) as (second, _):
        async with joined(second, "d", memory="m", running=(assign.attempt,)) as (link, _):
            epoch = link.welcome.epoch
            assert epoch > assign.epoch
            await link.send(Result(attempt=assign.attempt, epoch=epoch, status="succeeded", output="done"))
            assert await (await second.find_run(run.id)).result() == {"s": "done"}


async def take_over(journal: FaultyJournal, run: Run, *, write: bool) -> None:
    """Another hub takes a run, and may have written to it already."""
    await journal.release(run.id, owner=owner_name())
    await journal.acquire(run.id, owner=OTHER, at=time.time(), lease_s=LEASE_S)
    if write:
        seq = (await journal.run(run.id)).events + 1
        recovered = ev.RunRecovered(2.0, RunId(run.id))
        record = Record(run.id, seq, 2.0, recovered.kind, encode_entry(JournalEntry(recovered)))
        await MemoryJournal.append(journal, [record])


def graph_of(name: str, work: object = "work") -> TaskConstellation:
    graph = TaskConstellation(name)
    graph.star("only", work)  # type: ignore[arg-type]
    return graph


async def test_a_hub_that_loses_its_last_run_sends_the_devices_away_that_know_others(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 3600.0)
    monkeypatch.setattr(claims, "RENEW_S", 0.01)
    async with (
        standing_by(journal) as (hub, _),
        joined(hub, "leaves", elsewhere=True) as (leaves, _),
        joined(hub, "stays") as (stays, _),
    ):
        await hub.wait_for_devices(2)
        run = await hub.submit(graph_of("own", Approval("Go on?")))
        await take_over(journal, run, write=False)
        with pytest.raises(LinkClosed, match="this hub stands by"):
            await leaves.receive()
        assert stays.connected
        assert [device.name for device in await hub.devices()] == ["stays"]


@pytest.mark.parametrize("lost", ["by its claim", "by a record"])
async def test_a_result_is_not_taken_by_a_hub_that_has_lost_the_run(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    async with standing_by(journal) as (hub, _), joined(hub, "d") as (link, acked):
        await hub.wait_for_devices(1)
        run = await hub.submit(graph_of("own"))
        (assign,) = await link.receive()
        assert isinstance(assign, Assign)
        await take_over(journal, run, write=lost == "by a record")
        if lost == "by its claim":
            hub._book.engine.disown(RunId(run.id), RunBusy(run.id, OTHER, 60.0, at=1.0))
        await link.send(
            Accept(attempt=assign.attempt, epoch=assign.epoch),
            Result(attempt=assign.attempt, epoch=assign.epoch, status="succeeded", started_at=1.0, duration_s=0.1),
        )
        with pytest.raises(LinkClosed, match="taken over by another orchestrator"):
            await link.receive()
        assert not any(isinstance(message, Result) for message in acked)


async def test_a_device_in_the_process_of_an_orchestrator_that_loses_a_run_goes_on_with_the_others(
    journal: FaultyJournal,
) -> None:
    release = anyio.Event()

    async def work() -> str:
        await release.wait()
        return "done"

    async with Orchestrator.local(devices=1, slots=2) as orchestrator:
        taken, kept = [await orchestrator.submit(graph_of(name, work)) for name in ("taken", "kept")]
        with anyio.fail_after(20):
            async for event in kept.events():
                if event.event == "star_started":
                    break
            await take_over(journal, taken, write=True)
            release.set()
            with pytest.raises(RunInUse, match="taken over"):
                await taken.wait()
            assert await kept.result() == {"only": "done"}
            assert await (await orchestrator.submit(graph_of("another", work))).result() == {"only": "done"}


async def test_what_a_hub_notes_of_its_runs_is_not_for_others_to_say(journal: FaultyJournal) -> None:
    async with standing_by(journal) as (hub, _):
        graph = TaskConstellation("own")
        graph.star("ask", Approval("Go on?"))
        with pytest.raises(ValueError, match="'hub' can't be among a run's info"):
            await hub.submit(graph, info={"hub": False})
        run = await hub.submit(graph, info={"mine": 1})
        assert (await journal.run(run.id)).info == {"mine": 1, "hub": True}


# --- runs follow one another ----------------------------------------------------------------------------------------


def going_on(name: str) -> TaskConstellation:
    """A graph whose run does not end when a device is lost."""
    graph = graph_of(name)
    graph.star("ask", Approval("Go on?"))
    return graph


async def taken_from(hub: Orchestrator, journal: FaultyJournal, run: Run, *, by: Orchestrator) -> None:
    """Another hub takes a run up whose claim was lost."""
    await journal.release(run.id, owner=hub._book.owner)
    await until(lambda: run.id in by._book.runs)
    hub._book.engine.disown(RunId(run.id), RunBusy(run.id, by._book.owner, 60.0, at=1.0))
    await until(lambda: run.id not in hub._book.runs)


@pytest.mark.parametrize("strays", ["older", "younger"])
async def test_runs_that_a_device_works_for_at_two_hubs_come_together_so_that_one_of_them_lets_it_in(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch, strays: str
) -> None:
    async with standing_by(journal) as (one, _), joined(one, "d", elsewhere=True) as (link, _):
        await one.wait_for_devices(1)
        runs = sorted([await one.submit(going_on(name)) for name in ("a", "b")], key=lambda run: run.id)
        assigned: list[Message] = []
        while len(assigned) < 2:
            assigned += await link.receive()
        work = tuple(sorted(message.attempt for message in assigned if isinstance(message, Assign)))
        monkeypatch.setattr(claims, "owner_name", lambda: OTHER)
        async with standing_by(journal) as (two, _):
            await taken_from(one, journal, runs[0 if strays == "older" else 1], by=two)
            with pytest.raises(LinkClosed):
                await link.receive()
            hubs, tries = [one, two], 0
            while True:  # as a device with two URLs does
                hub = hubs[tries % 2]
                tries += 1
                try:
                    async with joined(hub, "d", elsewhere=True, running=work):
                        break
                except Refused:
                    await anyio.sleep(0.01)
            expected = two if strays == "older" else one
            assert hub is expected
            assert {run.id for run in runs} <= expected._book.runs.keys()


async def test_a_device_does_not_move_runs_by_naming_work_that_is_not_its_own_or_without_another_place_to_go(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (hub, _), joined(hub, "d") as (link, _):
        await hub.wait_for_devices(1)
        run = await hub.submit(going_on("own"))
        (assign,) = await link.receive()
        assert isinstance(assign, Assign)
        await hub_run(journal, "0-older")
        works = (assign.attempt, "0-older/ask/1")
        told: list[tuple[str, dict[str, Any]]] = [
            ("another", {"running": works, "elsewhere": True}),
            ("d", {"running": (f"{run.id}/none/1", works[1]), "elsewhere": True}),
            ("d", {"running": works}),
        ]
        for name, said in told:
            with pytest.raises(Refused, match="works for run 0-older"):
                async with joined(hub, name, **said):
                    pass
            assert run.id in hub._book.runs
        with pytest.raises(Refused, match="works for run 0-older"):
            async with joined(hub, "d", running=works, elsewhere=True):
                pass
        with pytest.raises(RunInUse, match="device d works for it and for run 0-older"):
            await run.wait()
        looks: list[object] = []
        runs = journal.runs

        async def look(**options: Any) -> Any:
            looks.append(options)
            return await runs(**options)

        monkeypatch.setattr(journal, "runs", look)
        await until(lambda: len(looks) > 3)
        assert run.id not in hub._book.runs, "it is left to the other hub for a while"
        await journal.acquire(run.id, owner=OTHER, at=time.time(), lease_s=LEASE_S)


# --- a hub without devices calls for those of others ------------------------------------------------------------------


async def test_devices_come_to_the_hub_that_a_graph_is_submitted_to(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []
    async with AsyncExitStack() as stack:
        one, _ = await stack.enter_async_context(standing_by(journal))
        monkeypatch.setattr(claims, "owner_name", lambda: OTHER)
        two, _ = await stack.enter_async_context(standing_by(journal))

        async def submit() -> None:
            run = await one.submit(graph_of("called"))
            reports.append((await run.wait()).state)

        async with joined(two, "d", elsewhere=True) as (link, _), anyio.create_task_group() as tasks:
            await two.wait_for_devices(1)
            tasks.start_soon(submit)
            with pytest.raises(LinkClosed, match="this hub stands by"):
                await link.receive()
            with pytest.raises(Refused, match="this hub stands by"):
                async with joined(two, "d", elsewhere=True):
                    pass
            async with joined(one, "d", elsewhere=True) as (link, _):
                (assign,) = await link.receive()
                assert isinstance(assign, Assign)
                await link.send(
                    Accept(attempt=assign.attempt, epoch=assign.epoch),
                    Result(attempt=assign.attempt, epoch=assign.epoch, status="succeeded"),
                )
                await until(lambda: reports)
    assert reports == ["succeeded"]


async def test_a_graph_that_no_device_comes_for_is_refused_and_leaves_nothing_in_the_journal(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_by(journal) as (hub, _):
        with anyio.move_on_after(0.05) as given_up:
            await hub.submit(graph_of("of somebody who does not wait"))
        assert given_up.cancelled_caught
        monkeypatch.setattr(intake, "CALL_S", 0.02)
        with pytest.raises(AdmissionRefused, match="no device is connected"):
            await hub.submit(graph_of("in vain"))
        async with joined(hub, "d"):
            await hub.wait_for_devices(1)
            with pytest.raises(AdmissionRefused, match="no connected device"):
                await hub.submit(graph_of("unsuited", "another"))
        assert await journal.runs() == []
        assert hub._book.planners == {}, "else it would keep devices here"


async def test_a_hub_whose_journal_is_its_own_refuses_at_once(tmp_path: Path) -> None:
    async with Orchestrator.serve(journal=":memory:", home=tmp_path) as hub:
        with anyio.fail_after(intake.CALL_S / 2), pytest.raises(AdmissionRefused):
            await hub.submit(graph_of("alone"))
