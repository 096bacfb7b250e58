"""Runs whose journal is away for a while: they wait for it, nothing is done twice, and lost runs are let go of."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_journal import FaultyJournal

from constellation import Approval, Orchestrator, TaskConstellation
from constellation.journal import EnduringJournal, JournalAway, JournalUnavailable, Record
from constellation.orchestrator import claims, recovery, standby
from constellation.orchestrator.errors import OrchestratorStopped, RunInUse
from constellation_protocol import LinkClosed, Refused, dial
from constellation_protocol.messages import DeviceProfile, Hello
from constellation_protocol.signal import Signal

if TYPE_CHECKING:
    from constellation.testing.postgres import PostgresServer

pytestmark = pytest.mark.anyio

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'constellation'"


async def until(seen: Callable[[], object]) -> None:
    with anyio.fail_after(30):
        while not seen():
            await anyio.sleep(0.001)


def noticed(orchestrator: Orchestrator) -> bool:
    """Whether an orchestrator waits for its journal."""
    journal = orchestrator._book.journal
    assert isinstance(journal, EnduringJournal)
    return journal._absence is not None


class Effects:
    """Work that leaves a line for every time it is done."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changed = Signal()
        self.gate = anyio.Event()

    def work(self, *, held: bool = False) -> Callable[[str], Any]:
        """A function for stars; one that is `held` waits for the gate before it ends."""

        async def work(name: str) -> str:
            self.lines.append(name)
            self.changed.notify()
            return name

        async def held_work(name: str) -> str:
            self.lines.append(name)
            self.changed.notify()
            await self.gate.wait()
            return name

        return held_work if held else work


# --- a real server -------------------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_run_goes_on_when_its_server_is_back_and_nothing_is_sent_meanwhile(
    postgres_server: PostgresServer, postgres_url: str, mode: str
) -> None:
    effects = Effects()
    graph = TaskConstellation("waits")
    work = effects.work()
    last = graph.star("first", effects.work(held=True), name="first")
    for number in range(5):
        after = graph.star(f"after {number}", work, name=f"after {number}")
        graph.line(last, after)
        last = after
    async with Orchestrator.local(devices=2, journal=postgres_url) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            while not effects.lines:
                await effects.changed.wait()
        await anyio.to_thread.run_sync(postgres_server.stop, mode)
        try:
            effects.gate.set()
            await until(lambda: noticed(orchestrator))
            assert effects.lines == ["first"]
        finally:
            await anyio.to_thread.run_sync(postgres_server.start)
        with anyio.fail_after(30):
            assert (await run.wait()).state == "succeeded"
        assert effects.lines == ["first", *(f"after {number}" for number in range(5))]
        assert (await orchestrator._book.journal.run(run.id)).state == "succeeded"


@pytest.mark.e2e
@pytest.mark.parametrize("seed", range(3))
async def test_sessions_that_are_ended_at_any_moment_lose_no_star_and_do_none_twice(
    postgres_server: PostgresServer, postgres_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    effects = Effects()
    graph = TaskConstellation("disturbed")
    stars, work = [], effects.work()
    for number in range(60):
        stars.append(graph.star(f"s{number}", work, name=f"s{number}"))
        if number >= 3:
            graph.line(stars[chance.randrange(number)], stars[-1])
    ended = 0
    async with Orchestrator.local(devices=3, journal=postgres_url) as orchestrator:
        run = await orchestrator.submit(graph)
        over = False

        async def end_sessions() -> None:
            nonlocal ended
            while not over:
                ended += len(await anyio.to_thread.run_sync(postgres_server.execute, TERMINATE))
                for _ in range(chance.randrange(8)):
                    if not over:
                        await effects.changed.wait()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end_sessions)
                report = await run.wait()
                over = True
                effects.changed.notify()
    assert report.state == "succeeded"
    assert sorted(effects.lines) == sorted(f"s{number}" for number in range(60))
    assert ended >= 3


@pytest.mark.e2e
async def test_when_patience_is_used_up_the_orchestrator_ends_with_the_error(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async def serve_until_it_ends() -> None:
        async with Orchestrator.serve(token="t", journal=postgres_url, journal_patience_s=0.05) as hub:
            graph = TaskConstellation("own")
            graph.star("ask", Approval("Go on?"))
            run = await hub.submit(graph)
            await anyio.to_thread.run_sync(postgres_server.stop, "immediate")
            with suppress(OrchestratorStopped):
                await run.pause()
            await anyio.sleep_forever()

    try:
        with anyio.fail_after(30), pytest.raises(JournalUnavailable, match=r"has been away for .*see that the server"):
            await serve_until_it_ends()
    finally:
        postgres_server.start()


# --- one of several hubs is cut off from the journal -------------------------------------------------------------


class View(FaultyJournal):
    """One hub's way to a journal in memory that it shares with others; `away` closes it."""

    may_be_away = True

    def __init__(self, shared: FaultyJournal) -> None:
        super().__init__()
        self.__dict__.update({**shared.__dict__, "away": False})

    def _check(self, call: str) -> None:
        if self.away:
            raise JournalAway("memory", "cut off")

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        self._check("acquire")
        await super().acquire(run, owner=owner, at=at, lease_s=lease_s)

    async def append(self, records: Sequence[Record]) -> None:
        self._check("append")
        await super().append(records)

    async def runs(self, *, limit: int = 100, state: str | None = None) -> Any:
        self._check("runs")
        return await super().runs(limit=limit, state=state)


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """The ways to one journal, one for each hub that is opened; claims on it last for a short time."""
    shared = FaultyJournal()
    made: list[View] = []

    @asynccontextmanager
    async def opened(where: object) -> AsyncIterator[View]:
        made.append(View(shared))
        yield made[-1]

    monkeypatch.setattr("constellation.orchestrator.orchestrator.open_journal", opened)
    monkeypatch.setattr(standby, "LOOK_S", 0.01)
    for module in (claims, recovery):
        monkeypatch.setattr(module, "LEASE_S", 0.5)
    monkeypatch.setattr(claims, "RENEW_S", 0.02)
    return made


async def test_a_run_that_another_hub_takes_meanwhile_is_let_go_of_and_done_once(
    views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = TaskConstellation("contested")
    graph.star("ask", Approval("Go on?"))
    kept = TaskConstellation("kept")
    kept.star("ask", Approval("Go on?"))
    async with Orchestrator.serve(token="t") as first:
        monkeypatch.setattr(claims, "owner_name", lambda: "another-host/1/1")
        async with Orchestrator.serve(token="t") as second:
            run = await first.submit(graph)
            views[0].away = True
            refused: list[Exception] = []

            async def approve() -> None:
                try:
                    await run.approve("ask")
                except RunInUse as error:
                    refused.append(error)

            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(approve)
                    await until(lambda: noticed(first))
                    await until(lambda: run.id in second._book.runs)
                    assert not refused, "it is not known yet to have been lost"
                    views[0].away = False
                assert len(refused) == 1
                await until(lambda: run.id not in first._book.runs)
                with pytest.raises(RunInUse, match="taken over"):
                    await run.wait()
                there = await second.find_run(run.id)
                await there.approve("ask")
                assert (await there.wait()).state == "succeeded"
                # The hub that was cut off is as good as before.
                again = await first.submit(kept)
                await again.approve("ask")
                assert (await again.wait()).state == "succeeded"


async def test_stopping_does_not_wait_for_a_journal_that_is_away(views: list[View]) -> None:
    graph = TaskConstellation("own")
    graph.star("ask", Approval("Go on?"))
    began = time.monotonic()
    with anyio.fail_after(20):
        async with Orchestrator.serve(token="t") as hub:
            run = await hub.submit(graph)
            views[0].away = True

            async def approve() -> None:
                with pytest.raises(OrchestratorStopped):
                    await run.approve("ask")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(approve)
                await until(lambda: noticed(hub))
                hub._book.stop()
    assert time.monotonic() - began < 10
    assert [record.kind async for record in views[0].read(run.id)] == ["run_started"]


async def test_a_device_that_knows_other_hubs_is_sent_there_when_claims_are_overdue(
    views: list[View],
) -> None:
    hello = Hello(device="d", token="t", elsewhere=True, profile=DeviceProfile())
    async with Orchestrator.serve(token="t") as hub:
        graph = TaskConstellation("own")
        graph.star("ask", Approval("Go on?"))
        await hub.submit(graph)
        with anyio.fail_after(20):
            async with dial(hub.url, lambda: hello) as link:
                await hub.wait_for_devices(1)
                views[0].away = True
                with pytest.raises(LinkClosed, match="away from this hub"):
                    await link.receive()
            views[0].away = False
            await until(lambda: not noticed(hub))
            with pytest.raises(Refused, match="another hub may have its runs"):
                await dialled(hub, hello)
            await dialled(hub, hello)  # nobody else has let it in


async def dialled(hub: Orchestrator, hello: Hello) -> None:
    """Have a device join, and leave again."""
    async with dial(hub.url, lambda: hello):
        pass
