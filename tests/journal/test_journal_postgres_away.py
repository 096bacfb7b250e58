"""A journal in a real PostgreSQL that is restarted, hangs, or ends its sessions while it is written to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from constellation.journal import (
    EnduringJournal,
    Journal,
    JournalAway,
    JournalError,
    JournalUnavailable,
    Record,
    open_journal,
)
from constellation.journal import postgres_server as module
from constellation_protocol.signal import Signal

if TYPE_CHECKING:
    from constellation.testing.postgres import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'constellation'"

RUNS = ("a", "b", "c")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Looks:
    """Claims that nobody else wants, and whether they have been looked at."""

    def __init__(self) -> None:
        self.looked = anyio.Event()

    async def look(self, journal: Journal) -> Mapping[str, JournalError]:
        self.looked.set()
        for run in RUNS:
            await journal.acquire(run, owner="me", at=1.0, lease_s=10.0)
        return {}


def enduring(journal: Journal, looks: Looks | None = None) -> EnduringJournal:
    return EnduringJournal(journal, reclaim=(looks or Looks()).look, patience_s=60.0, chance=lambda: 0.01)


async def written(journal: EnduringJournal, batches: list[list[Record]]) -> None:
    for batch in batches:
        await journal.append(batch)


@pytest.mark.parametrize("seed", range(3))
async def test_sessions_that_are_ended_at_any_moment_lose_and_double_nothing(
    postgres_server: PostgresServer, postgres_url: str, records: Callable[..., list[Record]], seed: int
) -> None:
    chance = random.Random(seed)
    batches: dict[str, list[list[Record]]] = {}
    for run in RUNS:
        first = 1
        batches[run] = []
        for _ in range(80):
            last = first + chance.randrange(4)
            batches[run].append(records(run, first, last))
            first = last + 1
    ended = 0
    async with open_journal(postgres_url) as store:
        journal = enduring(store)
        for run in RUNS:
            await journal.create_run(run, name="x", at=1.0)
        with anyio.fail_after(12):
            async with anyio.create_task_group() as writers:
                left = set(RUNS)
                appended = Signal()

                async def write(run: str) -> None:
                    for batch in batches[run]:
                        await journal.append(batch)
                        appended.notify()
                    left.remove(run)
                    appended.notify()

                for run in RUNS:
                    writers.start_soon(write, run)

                async def end_sessions() -> None:
                    nonlocal ended
                    while left:
                        for _ in range(chance.randrange(20)):
                            if left:
                                await appended.wait()
                        ended += len(await anyio.to_thread.run_sync(postgres_server.execute, TERMINATE))

                writers.start_soon(end_sessions)
        for run in RUNS:
            assert [record async for record in store.read(run)] == [one for batch in batches[run] for one in batch]
    assert ended >= 3


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_is_restarted_is_waited_for(
    postgres_server: PostgresServer, postgres_url: str, records: Callable[..., list[Record]], mode: str
) -> None:
    async with open_journal(postgres_url) as store:
        looks = Looks()
        journal = enduring(store, looks)
        for run in RUNS:
            await journal.create_run(run, name="x", at=1.0)
        await anyio.to_thread.run_sync(postgres_server.stop, mode)
        try:
            with anyio.fail_after(12):
                async with anyio.create_task_group() as writers:
                    for run in RUNS:
                        batches = [records(run, number, number) for number in range(1, 21)]
                        writers.start_soon(written, journal, batches)
                    await looks.looked.wait()
                    await anyio.to_thread.run_sync(postgres_server.start)
        finally:
            if not (postgres_server.directory / "data" / "postmaster.pid").exists():
                postgres_server.start()
        for run in RUNS:
            assert [record async for record in store.read(run)] == records(run, 1, 20)


async def test_what_a_server_that_hangs_does_after_all_is_found_and_not_done_again(
    postgres_server: PostgresServer,
    postgres_url: str,
    records: Callable[..., list[Record]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import psycopg

    monkeypatch.setattr(module, "ANSWER_S", 0.3)
    async with open_journal(postgres_url) as store:
        looks = Looks()
        journal = enduring(store, looks)
        for run in RUNS:
            await journal.create_run(run, name="x", at=1.0)
        await journal.append(records("a", 1, 1))
        with anyio.fail_after(12):
            async with anyio.create_task_group() as tasks:
                with psycopg.connect(postgres_url) as rival:
                    rival.execute("SELECT 1 FROM constellation_runs FOR UPDATE")
                    tasks.start_soon(journal.append, records("a", 2, 3))
                    await looks.looked.wait()
        await journal.append(records("a", 4, 4))
        assert [record async for record in store.read("a")] == records("a", 1, 4)


async def test_a_server_that_hangs_is_told_to_be_away(
    postgres_url: str, records: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    async with open_journal(postgres_url) as store:
        await store.create_run("a", name="x", at=1.0)
        with psycopg.connect(postgres_url) as rival:
            rival.execute("SELECT 1 FROM constellation_runs FOR UPDATE")
            with pytest.raises(JournalAway, match=r"has not answered for 0\.2 s"):
                await store.append(records("a", 1, 1))


async def test_closing_does_not_wait_for_a_server_that_hangs(
    postgres_url: str, records: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 60.0)
    monkeypatch.setattr("constellation.journal.postgres.CLOSING_S", 0.1)
    failed: list[Exception] = []
    with psycopg.connect(postgres_url) as rival, anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, open_journal(postgres_url) as store:
            await store.create_run("a", name="x", at=1.0)
            rival.execute("SELECT 1 FROM constellation_runs FOR UPDATE")

            async def append() -> None:
                try:
                    await store.append(records("a", 1, 1))
                except JournalUnavailable as error:
                    failed.append(error)

            tasks.start_soon(append)
            await anyio.wait_all_tasks_blocked()
    assert [type(error) for error in failed] == [JournalAway]


async def test_a_server_that_became_a_replica_is_away_and_the_next_call_looks_for_another(
    postgres_server: PostgresServer, postgres_url: str, records: Callable[..., list[Record]]
) -> None:
    writable = postgres_server.url(options="?options=-cdefault_transaction_read_only%3Doff")
    async with open_journal(postgres_url) as store:
        await store.create_run("a", name="x", at=1.0)
        postgres_server.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        try:
            postgres_server.execute(TERMINATE)
            with pytest.raises(JournalAway):
                await store.append(records("a", 1, 1))
            for _ in range(2):
                with pytest.raises(JournalAway, match="may have become a replica"):
                    await store.append(records("a", 1, 1))
        finally:
            postgres_server.execute("ALTER DATABASE postgres RESET default_transaction_read_only", writable)
        await store.append(records("a", 1, 1))
        assert [record async for record in store.read("a")] == records("a", 1, 1)
