"""Group commit: one thread that owns the writing connection, takes all that is queued, and commits it as one.

While a commit waits for the disk, further calls queue up and make the next group, so that the number of commits
adapts to the disk's speed and not to the number of callers. Results go back to the event loop group by group.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import anyio

from .errors import JournalAway, JournalClosed, JournalError


class Outdated(Exception):
    """Raised by a writer when others have changed what it goes by: rolled back, it forgets that, and may try again."""


class Writer(Protocol):
    """The writing connection of a store. Its methods block, and all but the first call are made by one thread."""

    def begin(self) -> None:
        """Begin a transaction."""

    def flush(self) -> None:
        """Hand the store whatever still waits in memory."""

    def commit(self) -> None:
        """Make everything since `begin` durable."""

    def rollback(self) -> None:
        """Undo everything since `begin`, whatever state the connection is in."""

    def close(self) -> None:
        """Close the connection."""

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of the store's; any other is returned as it is."""


W = TypeVar("W", bound=Writer)


class _Job(Generic[W]):
    """One call: what it does in the transaction, and how it went."""

    __slots__ = ("error", "withdrawn", "work")

    def __init__(self, work: Callable[[W], None]) -> None:
        self.work = work
        self.error: Exception | None = None
        self.withdrawn = False


class _Group(Generic[W]):
    """Calls that are committed together. They share one event, for an event each would be half of a call's cost."""

    __slots__ = ("done", "jobs")

    def __init__(self) -> None:
        self.jobs: list[_Job[W]] = []
        self.done = anyio.Event()


class GroupCommitter(Generic[W]):
    """Runs work on the writing connection; made and used in one event loop."""

    def __init__(self, writer: W, name: str) -> None:
        """Start the thread, with the journal's name in its own. It owns the writer from now on, and closes it."""
        self._writer = writer
        self._queue: SimpleQueue[_Group[W] | None] = SimpleQueue()  # at most one group, and None at the end
        self._filling: _Group[W] | None = None  # the group in the queue, which calls may still join
        self._lock = threading.Lock()  # guards the two above
        self._call_in_loop = _caller_into_this_loop()
        self._closing = False
        self._closed = anyio.Event()
        # A daemon, so that a program which fails to close its journal still ends: what was promised is on disk.
        threading.Thread(target=self._serve, name=f"journal {name}", daemon=True).start()

    async def submit(self, work: Callable[[W], None]) -> None:
        """Run `work` in the next group's transaction; returns once that is durable.

        When cancelled it returns at once, and the work is done only if the thread has begun with it.

        Raises:
            JournalClosed: the committer is closing or closed.
            JournalError: whatever `work` raised, or the commit.
        """
        if self._closing:
            raise JournalClosed
        job = _Job(work)
        with self._lock:
            group = self._filling
            if group is None:
                group = self._filling = _Group()
                self._queue.put(group)
            group.jobs.append(job)
        try:
            await group.done.wait()
        finally:
            job.withdrawn = True
        if job.error is not None:
            raise job.error

    async def aclose(self) -> None:
        """Commit all that is queued and wait until the connection is closed."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await self._closed.wait()

    # --- the thread ---

    def _serve(self) -> None:
        while (group := self._queue.get()) is not None:
            with self._lock:
                self._filling = None
            jobs = [job for job in group.jobs if not job.withdrawn]
            if jobs:
                self._commit(jobs)
            self._call_in_loop(group.done.set)
        self._writer.close()
        self._call_in_loop(self._closed.set)

    def _commit(self, jobs: Sequence[_Job[W]]) -> None:
        """Do the jobs in one transaction, or each in its own when one of them breaks the transaction."""
        try:
            self._writer.begin()
            if not self._work(jobs):
                if len(jobs) > 1 or isinstance(jobs[0].error, Outdated):
                    self._commit_singly(jobs)
                return
            self._writer.commit()
        except Exception as error:  # not lost: every caller of the group raises it
            self._writer.rollback()
            for job in jobs:
                job.error = self._writer.translate(error)
                if job.error is not error:
                    job.error.__cause__ = error

    def _commit_singly(self, jobs: Sequence[_Job[W]]) -> None:
        """Do each job in a transaction of its own, up to the one at which the store turns out to be away."""
        away: JournalAway | None = None
        for job in jobs:
            if away is None:
                self._commit([job])
                away = job.error if isinstance(job.error, JournalAway) else None
            else:
                job.error = JournalAway(away.where, away.reason)
                job.error.__cause__ = away

    def _work(self, jobs: Sequence[_Job[W]]) -> bool:
        """Do the jobs; false when the transaction had to be rolled back, with the last error in its job.

        A job that raises a `JournalError` has changed nothing, so the others go on beside it. Any other exception,
        as for a value that the store can't hold, may have left half of its work.

        Raises:
            Exception: the store is away. Whether the transaction is done is not known, so nothing may be done again.
        """
        job = jobs[0]
        try:
            for job in jobs:
                try:
                    job.error = None
                    job.work(self._writer)
                except JournalError as error:
                    job.error = error
            self._writer.flush()
        except Exception as error:  # not lost: the one job that it belongs to raises it in its caller
            translated = self._writer.translate(error)
            if isinstance(translated, JournalAway):
                raise
            self._writer.rollback()
            job.error = translated
            return False
        return True


def _caller_into_this_loop() -> Callable[..., Any]:
    """Return what schedules a plain call in the running event loop from another thread, without waiting for it."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
