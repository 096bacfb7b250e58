"""Group commit: what is queued is committed together, and nobody's failure or cancellation is another's."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest
from anyio import wait_all_tasks_blocked

from constellation.journal import (
    JournalAway,
    JournalUnavailable,
    Record,
    RunNotFound,
    SequenceConflict,
    open_journal,
    sqlite_file,
    sqlite_writer,
)
from constellation.journal.group_commit import GroupCommitter

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path, anyio_backend):
    async with open_journal(path) as opened:
        for run in ("first", "a", "b", "c"):
            await opened.create_run(run, name="x", at=1.0)
        yield opened


@contextmanager
def locked(path):
    """Keep the journal's writer waiting, as a write of another process does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


@pytest.fixture
def begun(journal, monkeypatch):
    """Wait until the writer has taken its first group and asks for the lock: later calls make the next group."""
    taken = threading.Event()
    begin = sqlite_writer.SqliteWriter.begin
    monkeypatch.setattr(sqlite_writer.SqliteWriter, "begin", lambda writer: (taken.set(), begin(writer))[1])

    async def wait():
        assert await anyio.to_thread.run_sync(taken.wait, 20)

    return wait


@pytest.fixture
def groups(monkeypatch):
    """Count the commits."""
    commits = []
    commit = sqlite_writer.SqliteWriter.commit
    monkeypatch.setattr(sqlite_writer.SqliteWriter, "commit", lambda writer: (commits.append(1), commit(writer))[1])
    return commits


async def events(journal):
    return {summary.run: summary.events for summary in await journal.runs() if summary.events}


async def test_calls_that_wait_are_committed_as_one(journal, path, records, begun, groups):
    numbers = iter(range(1, 101))  # taken by the tasks in the order in which they get to run

    async def append_next():
        seq = next(numbers)
        await journal.append(records("a", seq, seq))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                tasks.start_soon(journal.append, records("first", 1, 1))
                await begun()
                for _ in range(100):
                    tasks.start_soon(append_next)
                await wait_all_tasks_blocked()
    assert await events(journal) == {"first": 1, "a": 100}
    assert len(groups) == 2


async def test_a_call_that_is_refused_does_not_harm_those_in_its_group(journal, path, records, begun, groups):
    refused = []

    async def append_refused(wrong, error):
        with pytest.raises(error):
            await journal.append(wrong)
        refused.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                tasks.start_soon(journal.append, records("first", 1, 1))
                await begun()
                tasks.start_soon(journal.append, records("a", 1, 2))
                await wait_all_tasks_blocked()
                tasks.start_soon(append_refused, records("a", 2, 4), SequenceConflict)
                tasks.start_soon(append_refused, records("nobody", 1, 1), RunNotFound)
                tasks.start_soon(journal.append, records("b", 1, 1))
                await wait_all_tasks_blocked()
    assert len(refused) == 2
    assert await events(journal) == {"first": 1, "a": 2, "b": 1}
    assert len(groups) == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (Record("b", 1, 1.0, "\ud800", b"{}"), UnicodeEncodeError),
        (Record("b", 1, float("nan"), "k", b"{}"), JournalUnavailable),
        (Record("b", 1, 1.0, "k", "text"), TypeError),
    ],
    ids=["kind is no text", "time is no number", "body is no bytes"],
)
async def test_a_record_that_sqlite_cannot_store_fails_its_own_call_only(journal, path, records, begun, wrong, error):
    failed = []

    async def append_wrong():
        with pytest.raises(error):
            await journal.append([*records("c", 1, 1), wrong])
        failed.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                tasks.start_soon(journal.append, records("first", 1, 1))
                await begun()
                tasks.start_soon(journal.append, records("a", 1, 2))
                await wait_all_tasks_blocked()
                tasks.start_soon(append_wrong)
                await wait_all_tasks_blocked()
                tasks.start_soon(journal.append, records("a", 3, 4))
                await wait_all_tasks_blocked()
    assert failed
    assert await events(journal) == {"first": 1, "a": 4}
    await journal.append(records("c", 1, 1))


async def test_a_cancelled_call_returns_at_once_and_others_go_on(journal, path, records, begun):
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                taken, waiting = anyio.CancelScope(), anyio.CancelScope()

                async def append_within(scope, batch):
                    with scope:
                        await journal.append(batch)

                tasks.start_soon(append_within, taken, records("first", 1, 3))
                await begun()
                tasks.start_soon(append_within, waiting, records("a", 1, 3))
                tasks.start_soon(journal.append, records("b", 1, 3))
                await wait_all_tasks_blocked()
                taken.cancel()
                waiting.cancel()
                await wait_all_tasks_blocked()
                assert taken.cancelled_caught, "it still waits for the lock"
                assert waiting.cancelled_caught
    assert await events(journal) == {"first": 3, "b": 3}
    await journal.append(records("a", 1, 3))


async def test_a_group_of_cancelled_calls_is_not_committed(journal, path, records, begun, groups):
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                tasks.start_soon(journal.append, records("first", 1, 1))
                await begun()
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(journal.append, records("a", 1, 1))
                    await wait_all_tasks_blocked()
                    cancelled.cancel_scope.cancel()
    await journal.aclose()
    assert len(groups) == 1
    async with open_journal(path) as reopened:
        assert await events(reopened) == {"first": 1}


async def test_a_lock_that_is_held_too_long_is_reported_and_nothing_is_lost(path, records, monkeypatch, anyio_backend):
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    async with open_journal(path) as journal:
        await journal.create_run("a", name="x", at=1.0)
        await journal.append(records("a", 1, 1))
        with locked(path), pytest.raises(JournalUnavailable, match=r"another process has kept it locked for 0\.05 s"):
            await journal.append(records("a", 2, 2))
        await journal.append(records("a", 2, 3))
        assert await events(journal) == {"a": 3}


async def test_a_full_disk_is_reported_and_nothing_of_the_call_is_stored(journal, records):
    connection = journal._committer._writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(JournalUnavailable, match="full"):
        await journal.append([*records("a", 1, 1), Record("a", 2, 1.0, "k", bytes(100_000))])
    assert await events(journal) == {}
    await journal.append(records("a", 1, 1))
    connection.execute("PRAGMA max_page_count = 1000000")
    await journal.append([Record("a", 2, 1.0, "k", bytes(100_000))])
    assert await events(journal) == {"a": 2}


async def test_a_commit_that_fails_fails_every_call_of_its_group_and_stores_none(journal, path, records, monkeypatch):
    def fail(writer):
        raise sqlite3.OperationalError("disk I/O error")

    failures = []

    async def append(batch):
        try:
            await journal.append(batch)
        except JournalUnavailable as error:
            failures.append(error)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_writer.SqliteWriter, "commit", fail)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                with locked(path):
                    for run in ("first", "a", "b"):
                        tasks.start_soon(append, records(run, 1, 2))
                    await wait_all_tasks_blocked()
    assert len(failures) == 3
    assert len(set(map(id, failures))) == 3, "each caller gets an error of its own"
    assert all("disk I/O error" in str(failure) for failure in failures)
    assert await events(journal) == {}
    await journal.append(records("a", 1, 2))


async def test_closing_waits_for_what_is_queued_even_when_cancelled(path, records, anyio_backend):
    outcomes = []
    files_left = None

    async def append(journal, run):
        await journal.append(records(run, 1, 5))
        outcomes.append(run)

    async with open_journal(path) as journal:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    tasks.start_soon(append, journal, "a")
                    tasks.start_soon(append, journal, "b")
                    await wait_all_tasks_blocked()
                    scope.cancel()
                    await journal.aclose()
                    files_left = [entry.name for entry in path.parent.iterdir()]
        assert files_left == [path.name], "an open journal has a log beside its file"
        assert sorted(outcomes) == ["a", "b"]
    async with open_journal(path) as journal:
        assert await events(journal) == {"a": 5, "b": 5}


async def test_what_another_opener_wrote_is_seen_by_the_next_append(journal, path, records):
    async with open_journal(path) as other:
        await journal.append(records("a", 1, 2))
        await other.append(records("a", 3, 4))
        with pytest.raises(SequenceConflict) as caught:
            await journal.append(records("a", 3, 3))
        assert caught.value.expected == 5
        await other.delete("a")
        with pytest.raises(RunNotFound):
            await journal.append(records("a", 5, 5))
        await other.create_run("new", name="takes the place of a", at=1.0)
        await journal.append(records("new", 1, 1))
    assert await events(journal) == {"new": 1}


async def test_more_runs_than_are_remembered_are_no_problem(journal, records, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "MAX_HEADS", 1)
    for seq in range(1, 6):
        for run in ("a", "b", "c"):
            await journal.append(records(run, seq, seq))
    assert await events(journal) == {"a": 5, "b": 5, "c": 5}


async def test_a_run_that_is_made_anew_in_one_group_inherits_no_records(journal, path, records, begun):
    await journal.create_run("z", name="old", at=1.0)
    steps = (
        lambda: journal.append(records("z", 1, 70)),
        lambda: journal.delete("z"),
        lambda: journal.create_run("z", name="new", at=1.0),
    )
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with locked(path):
                tasks.start_soon(journal.append, records("first", 1, 1))
                await begun()
                for step in steps:
                    tasks.start_soon(step)
                    await wait_all_tasks_blocked()
    assert await events(journal) == {"first": 1}
    assert (await journal.run("z")).name == "new"


class LostStore:
    """A writer whose store is away from its `fails_at`th piece of work on, and which notes what was asked of it."""

    def __init__(self, fails_at: int, *, breaks_first: bool = False) -> None:
        self.did: list[str] = []
        self.transactions = 0
        self._left = fails_at
        self._breaks_first = breaks_first

    def begin(self) -> None:
        self.transactions += 1

    def do(self, what: str) -> None:
        if self._breaks_first and self.transactions == 1:
            raise ValueError("half done")
        self._left -= 1
        if self._left <= 0:
            raise ConnectionError("gone")
        self.did.append(what)

    def flush(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        pass

    def translate(self, error: Exception) -> Exception:
        return JournalAway("store", str(error)) if isinstance(error, ConnectionError) else error


async def outcomes(store, calls):
    """How calls went that were made at once, in a group of their own."""
    committer = GroupCommitter(store, "test")
    begun, gate = threading.Event(), threading.Event()
    went = {}

    def hold(writer):
        begun.set()
        gate.wait(20)
        writer.transactions = 0

    async def call(what):
        try:
            await committer.submit(lambda writer: writer.do(what))
        except Exception as error:
            went[what] = error
        else:
            went[what] = None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(committer.submit, hold)
        assert await anyio.to_thread.run_sync(begun.wait, 20)
        for what in calls:
            tasks.start_soon(call, what)
            await wait_all_tasks_blocked()
        gate.set()
    await committer.aclose()
    return went


async def test_a_store_that_goes_away_in_the_middle_of_a_group_is_not_asked_again_for_any_of_it():
    """What is lost may be done nonetheless: whoever wants it done again has to look first."""
    store = LostStore(fails_at=2)
    went = await outcomes(store, ["a", "b", "c"])
    assert {what: type(error) for what, error in went.items()} == dict.fromkeys("abc", JournalAway)
    assert store.did == ["a"]
    assert all(isinstance(error.__cause__, ConnectionError) for error in went.values())


async def test_calls_that_are_done_one_by_one_end_with_the_one_at_which_the_store_goes_away():
    store = LostStore(fails_at=2, breaks_first=True)
    went = await outcomes(store, ["a", "b", "c", "d"])
    assert went.pop("a") is None
    assert {what: type(error) for what, error in went.items()} == dict.fromkeys("bcd", JournalAway)
    assert store.did == ["a"]
    assert store.transactions == 3, "c and d were not tried: each would wait for the store all over"
    assert len({id(error) for error in went.values()}) == 3
