"""The journal in a SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from anyio.to_thread import run_sync

from .base import Synchronous
from .errors import JournalClosed
from .sqlite_file import compact, connect, prepare
from .sqlite_reader import SqliteReader
from .sqlite_writer import SqliteWriter
from .threaded import ThreadedJournal


class SqliteJournal(ThreadedJournal):
    """A journal in one file."""

    _path: Path

    @classmethod
    async def open(cls, path: Path, *, synchronous: Synchronous = "full") -> SqliteJournal:
        """Open the file at an absolute path, or make it.

        Raises:
            JournalError: it can't be made or opened, is damaged, is not a journal, or is from a newer version.
        """
        writing, reading = await run_sync(_open, path, synchronous)
        self = cls(SqliteWriter(writing, path), SqliteReader(reading, path), path.name)
        self._path = path
        return self

    async def compact(self) -> None:
        """Implement `Journal.compact`."""
        if self._closed:
            raise JournalClosed
        await run_sync(compact, self._path)


def _open(path: Path, synchronous: Synchronous) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    prepare(path)
    writing = connect(path, synchronous=synchronous, writable=True)
    try:
        return writing, connect(path, synchronous=synchronous, writable=False)
    except BaseException:
        writing.close()
        raise
