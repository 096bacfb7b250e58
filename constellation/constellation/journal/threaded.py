"""A journal whose store is reached by calls that block: the asynchronous shell around a writing thread and a reader.

It runs on asyncio and on trio alike. What writes goes to the thread in groups (`group_commit.py`); what reads has a
connection of its own, so that a long listing holds up no append.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio
from anyio.to_thread import run_sync

from .base import Durability, Journal, Record, RunSummary, check_sizes, info_text, whole_characters
from .errors import JournalClosed
from .group_commit import GroupCommitter, Writer
from .paging import RecordPages

T = TypeVar("T")


class StoreWriter(Writer, Protocol):
    """Changes a store, inside a transaction.

    Each method raises what its namesake in `Journal` does, and has then changed nothing.
    """

    def append(self, records: Sequence[Record]) -> None:
        """Take records in if all of them are next."""

    def create_run(self, run: str, *, name: str, at: float, parent: str | None, info: str) -> None:
        """Add a run; `info` is JSON text."""

    def set_state(self, run: str, state: str, *, at: float, info: str) -> None:
        """Change a run's summary; `info` is the JSON text of what to merge."""

    def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Take or renew a lease."""

    def release(self, run: str, *, owner: str) -> None:
        """Give up a lease."""

    def delete(self, run: str) -> None:
        """Remove a run with its records."""

    def durability(self) -> Durability:
        """What holds for this connection."""


class StoreReader(Protocol):
    """Reads a store, by one thread at a time; each method raises what its namesake in `Journal` does."""

    def page(self, run: str, after: int) -> tuple[list[Record], bool]:
        """The records of a run that follow number `after`, and whether there may be more."""

    def runs(self, limit: int, state: str | None) -> list[RunSummary]:
        """The newest runs."""

    def run(self, run_or_prefix: str) -> RunSummary:
        """The summary of the run that an id or a prefix means."""

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of the store's; any other is returned as it is."""

    def close(self) -> None:
        """Close the connection."""


class ThreadedJournal(Journal):
    """A journal in a store that other processes may have open too."""

    def __init__(self, writer: StoreWriter, reader: StoreReader, name: str) -> None:
        """Take both over; `name` is for the writing thread."""
        self._committer = GroupCommitter(writer, name)
        self._reader = reader
        self._one_reads = anyio.CapacityLimiter(1)
        self._closed = False

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Implement `Journal.create_run`."""
        text, shown = info_text(info or {}), whole_characters(name)
        await self._committer.submit(lambda writer: writer.create_run(run, name=shown, at=at, parent=parent, info=text))

    async def append(self, records: Sequence[Record]) -> None:
        """Implement `Journal.append`."""
        check_sizes(records)
        await self._committer.submit(lambda writer: writer.append(records))

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        """Implement `Journal.set_state`."""
        text = info_text(info or {})
        await self._committer.submit(lambda writer: writer.set_state(run, state, at=at, info=text))

    def read(self, run: str, *, after: int = 0) -> AsyncIterator[Record]:
        """Implement `Journal.read`."""
        return RecordPages(lambda after: self._read(partial(self._reader.page, run, after)), after)

    async def runs(self, *, limit: int = 100, state: str | None = None) -> list[RunSummary]:
        """Implement `Journal.runs`."""
        return await self._read(partial(self._reader.runs, limit, state))

    async def run(self, run_or_prefix: str) -> RunSummary:
        """Implement `Journal.run`."""
        return await self._read(partial(self._reader.run, run_or_prefix))

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Implement `Journal.acquire`."""
        await self._committer.submit(lambda writer: writer.acquire(run, owner=owner, at=at, lease_s=lease_s))

    async def release(self, run: str, *, owner: str) -> None:
        """Implement `Journal.release`."""
        await self._committer.submit(lambda writer: writer.release(run, owner=owner))

    async def delete(self, run: str) -> None:
        """Implement `Journal.delete`."""
        await self._committer.submit(lambda writer: writer.delete(run))

    async def durability(self) -> Durability:
        """Implement `Journal.durability`."""
        told: list[Durability] = []
        await self._committer.submit(lambda writer: told.append(writer.durability()))
        return told[-1]

    async def aclose(self) -> None:
        """Implement `Journal.aclose`; not cut short by cancellation."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            async with self._one_reads:
                self._reader.close()
            # The writing connection goes last: SQLite's then empties the log into the file.
            await self._committer.aclose()

    async def _read(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            if self._closed:  # looked at here because the journal may be closed while the call waits for its turn
                raise JournalClosed
            try:
                return work()
            except Exception as error:
                translated = self._reader.translate(error)
                if translated is error:
                    raise
                raise translated from error

        return await run_sync(guarded, limiter=self._one_reads)
