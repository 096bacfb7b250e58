"""What is read from PostgreSQL, through a connection of its own, each call by one snapshot per statement."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from .base import Record, RunSummary
from .errors import JournalCorrupt, RunNotFound
from .lookup import LAST_CHARACTER, MATCHES_SHOWN, SUGGESTIONS_FROM, only_match, storable
from .paging import MOST_ROWS, PAGE_BYTES, PAGE_RECORDS, checked_page
from .postgres_server import Connection, PostgresServer, restored, stored

# What a row counts for is known without reading its body, so that of a page's candidates only those in it are read.
_PAGE = """
    SELECT seq, at, kind, crc, body FROM (
        SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS before FROM (
            SELECT * FROM constellation_records WHERE run = %s AND seq > %s ORDER BY seq LIMIT %s
        ) AS candidates
    ) AS counted WHERE before < %s ORDER BY seq
"""

_SUMMARIES = """
    SELECT runs.run, name, state, created_at, greatest(touched_at, coalesce(last.at, touched_at)),
        parent, coalesce(last.seq, 0), info
    FROM constellation_runs AS runs
    LEFT JOIN LATERAL (
        SELECT seq, at FROM constellation_records WHERE run = runs.key ORDER BY seq DESC LIMIT 1
    ) AS last ON true
"""


class PostgresReader:
    """The reading connection. Its methods block, and may be called from any thread, by one at a time."""

    def __init__(self, connection: Connection, server: PostgresServer) -> None:
        self._connection = connection
        self._server = server

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of PostgreSQL's; any other is returned as it is."""
        return self._server.translate(error) if isinstance(error, psycopg.Error) else error

    def page(self, run: str, after: int) -> tuple[list[Record], bool]:
        """Return the records of a run that follow number `after`, and whether there may be more.

        Raises:
            RunNotFound: there is no such run.
            JournalCorrupt: a record is missing or is not what was written.
        """
        found = "SELECT key FROM constellation_runs WHERE run = %s"
        head = self._rows(found, (stored(storable(run)),))
        if not head:
            raise RunNotFound(run)
        rows = self._rows(_PAGE, (head[0][0], after, PAGE_RECORDS, PAGE_BYTES), binary=True)
        kept = ((seq, at, restored(kind), crc, body) for seq, at, kind, crc, body in rows)
        return checked_page(self._server.where, run, after, kept)

    def runs(self, limit: int, state: str | None) -> list[RunSummary]:
        """Return the newest runs; see `Journal.runs`."""
        where = "WHERE state = %s" if state is not None else ""
        rows = self._rows(
            f"{_SUMMARIES} {where} ORDER BY created_at DESC, key DESC LIMIT %s",
            (*((stored(state),) if state is not None else ()), min(max(limit, 0), MOST_ROWS)),
        )
        return [self._summary(row) for row in rows]

    def run(self, run_or_prefix: str) -> RunSummary:
        """Return the summary of the run that an id or a prefix means; see `Journal.run`."""
        asked = stored(storable(run_or_prefix))
        rows = self._rows(
            f"{_SUMMARIES} WHERE runs.run BETWEEN %s AND %s "
            "ORDER BY runs.run <> %s, parent IS NOT NULL, runs.run LIMIT %s",
            (asked, asked + LAST_CHARACTER, asked, MATCHES_SHOWN),
        )
        matches = {summary.run: summary for summary in map(self._summary, rows)}
        known = [] if matches else self._newest_ids()
        parents = {run: summary.parent for run, summary in matches.items()}
        return matches[only_match(run_or_prefix, parents, known)]

    def _newest_ids(self) -> list[str]:
        newest = "SELECT run FROM constellation_runs ORDER BY created_at DESC, key DESC LIMIT %s"
        return [restored(run) for (run,) in self._rows(newest, (SUGGESTIONS_FROM,))]

    def _rows(self, query: str, parameters: tuple[Any, ...], *, binary: bool = False) -> list[tuple[Any, ...]]:
        """The rows of a query, asked once more when the connection turns out to be lost: reading changes nothing."""
        if not self._connection.closed:
            try:
                return self._connection.execute(query, parameters, binary=binary).fetchall()
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
        self._connection = self._server.connect()
        return self._connection.execute(query, parameters, binary=binary).fetchall()

    def _summary(self, row: tuple[Any, ...]) -> RunSummary:
        run, name, state, created_at, updated_at, parent, events, info = row
        run, name, state = restored(run), restored(name), restored(state)
        parent = restored(parent) if parent is not None else None
        try:
            return RunSummary(run, name, state, created_at, updated_at, parent, events, json.loads(info))
        except ValueError as error:
            raise JournalCorrupt(self._server.where, f"the info of run {run!r} is not JSON: {error}") from error
