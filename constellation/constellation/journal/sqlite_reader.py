"""What is read from the SQLite file, through a connection that only reads.

No read transaction outlives a call, so that a slow reader never keeps the write-ahead log from being emptied.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from .base import Record, RunSummary
from .errors import JournalCorrupt, RunNotFound
from .lookup import LAST_CHARACTER, MATCHES_SHOWN, SUGGESTIONS_FROM, only_match, storable
from .paging import MOST_ROWS, PAGE_RECORDS, checked_page
from .sqlite_file import translate

_SUMMARIES = """
    SELECT run, name, state, created_at,
        max(touched_at, coalesce((SELECT at FROM records WHERE run = key ORDER BY seq DESC LIMIT 1), touched_at)),
        parent, coalesce((SELECT max(seq) FROM records WHERE run = key), 0), info
    FROM runs
"""


class SqliteReader:
    """The reading connection. Its methods block, and may be called from any thread, by one at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of SQLite's; any other is returned as it is."""
        return translate(self._path, error) if isinstance(error, sqlite3.Error) else error

    def page(self, run: str, after: int) -> tuple[list[Record], bool]:
        """Return the records of a run that follow number `after`, and whether there may be more.

        Raises:
            RunNotFound: there is no such run.
            JournalCorrupt: a record is missing or is not what was written.
        """
        head = self._connection.execute("SELECT key FROM runs WHERE run = ?", (storable(run),)).fetchone()
        if head is None:
            raise RunNotFound(run)
        rows = self._connection.execute(
            "SELECT seq, at, kind, crc, body FROM records WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
            (head[0], after, PAGE_RECORDS),
        )
        try:
            return checked_page(str(self._path), run, after, rows)
        finally:
            rows.close()  # ends the read transaction when the page ends early

    def runs(self, limit: int, state: str | None) -> list[RunSummary]:
        """Return the newest runs; see `Journal.runs`."""
        rows = self._connection.execute(
            f"{_SUMMARIES} WHERE ?1 IS NULL OR state = ?1 ORDER BY created_at DESC, key DESC LIMIT ?2",
            (state, min(max(limit, 0), MOST_ROWS)),
        )
        return [self._summary(row) for row in rows.fetchall()]

    def run(self, run_or_prefix: str) -> RunSummary:
        """Return the summary of the run that an id or a prefix means; see `Journal.run`."""
        rows = self._connection.execute(
            f"{_SUMMARIES} WHERE run BETWEEN ?1 AND ?1 || ?2 ORDER BY run <> ?1, parent NOTNULL, run LIMIT ?3",
            (storable(run_or_prefix), LAST_CHARACTER, MATCHES_SHOWN),
        )
        matches = {row[0]: row for row in rows.fetchall()}
        known = [] if matches else self._newest_ids()
        parents = {run: self._summary(row).parent for run, row in matches.items()}
        return self._summary(matches[only_match(run_or_prefix, parents, known)])

    def _newest_ids(self) -> list[str]:
        rows = self._connection.execute(
            "SELECT run FROM runs ORDER BY created_at DESC, key DESC LIMIT ?", (SUGGESTIONS_FROM,)
        )
        return [run for (run,) in rows.fetchall()]

    def _summary(self, row: tuple[Any, ...]) -> RunSummary:
        run, name, state, created_at, updated_at, parent, events, info = row
        try:
            return RunSummary(run, name, state, created_at, updated_at, parent, events, json.loads(info))
        except ValueError as error:
            raise JournalCorrupt(str(self._path), f"the info of run {run!r} is not JSON: {error}") from error
