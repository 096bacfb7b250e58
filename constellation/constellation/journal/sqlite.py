"""The journal in a SQLite file: the asynchronous shell around a writing thread and a reading connection."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from .base import Journal, Record, RunSummary, check_sizes, info_text
from .errors import JournalClosed
from .group_commit import GroupCommitter
from .paging import RecordPages
from .sqlite_file import Synchronous, connect, prepare, translated
from .sqlite_reader import SqliteReader

T = TypeVar("T")


class SqliteJournal(Journal):
    """A journal in one file, which other processes may have open too."""

    def __init__(self, path: Path, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        """Take over both connections; `open` makes them."""
        self._path = path
        self._committer = GroupCommitter(writing, path)
        self._reader = SqliteReader(reading, path)
        self._one_reads = anyio.CapacityLimiter(1)
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, synchronous: Synchronous = "full") -> SqliteJournal:
        """Open the file at an absolute path, or make it.

        Raises:
            JournalError: it can't be made or opened, is damaged, is not a journal, or is from a newer version.
        """
        return cls(path, *await run_sync(_open, path, synchronous))

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Implement `Journal.create_run`."""
        text = info_text(info or {})
        await self._committer.submit(lambda writer: writer.create_run(run, name=name, at=at, parent=parent, info=text))

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

    async def aclose(self) -> None:
        """Implement `Journal.aclose`; not cut short by cancellation."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            async with self._one_reads:
                self._reader.close()
            # The writing connection goes last: as the only one left it empties the log into the file.
            await self._committer.aclose()

    async def _read(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            if self._closed:  # looked at here because the journal may be closed while the call waits for its turn
                raise JournalClosed
            with translated(self._path):
                return work()

        return await run_sync(guarded, limiter=self._one_reads)


def _open(path: Path, synchronous: Synchronous) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    prepare(path)
    writing = connect(path, synchronous=synchronous, writable=True)
    try:
        return writing, connect(path, synchronous=synchronous, writable=False)
    except BaseException:
        writing.close()
        raise
