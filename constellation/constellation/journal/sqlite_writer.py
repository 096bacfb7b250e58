"""What is written to the SQLite file, and how; every function runs inside a transaction that the caller holds.

Records wait in memory until they can be stored many at a time: each SQLite step lets go of the interpreter
lock, and getting it back from a busy event loop may take milliseconds. So a row per step would cost a group of a
hundred records most of a second where a statement of many rows costs a few steps.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import INITIAL_STATE, Durability, Record
from .errors import RunBusy, RunExists, RunNotFound, SequenceConflict
from .sqlite_file import translate

ROWS_PER_STATEMENT = 64
"""How many records one statement stores at most; each smaller number of rows has a prepared statement of its own."""

MAX_HEADS = 10_000
"""How many runs' last sequence numbers are remembered; beyond that all are forgotten and read again."""

_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
"""What the numbers mean that `PRAGMA synchronous` answers with."""

_INSERTS = tuple(
    "INSERT INTO records (run, seq, at, kind, crc, body) VALUES " + ",".join(["(?,?,?,?,?,?)"] * rows)
    for rows in range(ROWS_PER_STATEMENT + 1)
)


class SqliteWriter:
    """The writing connection, and what is known of the runs that were written to.

    Attributes:
        connection: Its connection, in autocommit mode.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._heads: dict[str, tuple[int, int]] = {}  # run id -> its key, its last sequence number
        self._rows: list[tuple[Any, ...]] = []
        self._data_version: int | None = None

    # --- transactions ---

    def begin(self) -> None:
        """Lock the file for writing, and forget what is known of the runs if another process has changed it."""
        self.connection.execute("BEGIN IMMEDIATE")
        (data_version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version or len(self._heads) > MAX_HEADS:
            self._heads.clear()
            self._data_version = data_version

    def commit(self) -> None:
        """Make everything since `begin` durable."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo everything since `begin`. SQLite may have done so itself, as when the disk is full."""
        self._rows.clear()
        self._heads.clear()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of SQLite's; any other is returned as it is."""
        return translate(self._path, error) if isinstance(error, sqlite3.Error) else error

    def flush(self) -> None:
        """Hand the waiting records to SQLite."""
        rows = self._rows
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            chunk = rows[start : start + ROWS_PER_STATEMENT]
            self.connection.execute(_INSERTS[len(chunk)], [value for row in chunk for value in row])
        rows.clear()

    # --- records ---

    def append(self, records: Sequence[Record]) -> None:
        """Take records in if all of them are next; see `Journal.append`."""
        heads: dict[str, tuple[int, int]] = {}
        rows = []
        for record in records:
            run = record.run
            key, last = heads.get(run) or self._heads.get(run) or self._read_head(run)
            if record.seq != last + 1:
                raise SequenceConflict(run, last + 1, record.seq)
            heads[run] = (key, record.seq)
            rows.append((key, record.seq, record.at, record.kind, zlib.crc32(record.body), record.body))
        self._heads |= heads
        self._rows += rows

    def _read_head(self, run: str) -> tuple[int, int]:
        row = self.connection.execute(
            "SELECT key, coalesce((SELECT max(seq) FROM records WHERE run = key), 0) FROM runs WHERE run = ?", (run,)
        ).fetchone()
        if row is None:
            raise RunNotFound(run)
        return row[0], row[1]

    # --- runs ---

    def create_run(self, run: str, *, name: str, at: float, parent: str | None, info: str) -> None:
        """Add a run; see `Journal.create_run`. `info` is JSON text."""
        added = self.connection.execute(
            "INSERT INTO runs (run, name, state, created_at, touched_at, parent, info) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (run) DO NOTHING",
            (run, name, INITIAL_STATE, at, at, parent, info),
        )
        if added.rowcount == 0:
            raise RunExists(run)

    def set_state(self, run: str, state: str, *, at: float, info: str) -> None:
        """Change a run's summary; see `Journal.set_state`. `info` is the JSON text of what to merge."""
        row = self.connection.execute("SELECT info FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None:
            raise RunNotFound(run)
        merged = json.dumps(json.loads(row[0]) | json.loads(info), separators=(",", ":"))
        self.connection.execute(
            "UPDATE runs SET state = ?, touched_at = max(touched_at, ?), info = ? WHERE run = ?",
            (state, at, merged, run),
        )

    def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Take or renew a lease in one atomic update; see `Journal.acquire`."""
        taken = self.connection.execute(
            "UPDATE runs SET lease_owner = ?1, lease_expires_at = ?2 + ?3 "
            "WHERE run = ?4 AND (lease_owner IS NULL OR lease_owner = ?1 OR lease_expires_at <= ?2)",
            (owner, at, lease_s, run),
        )
        if taken.rowcount == 0:
            row = self.connection.execute(
                "SELECT lease_owner, lease_expires_at FROM runs WHERE run = ?", (run,)
            ).fetchone()
            if row is None:
                raise RunNotFound(run)
            raise RunBusy(run, row[0], row[1], at=at)

    def release(self, run: str, *, owner: str) -> None:
        """Give up a lease; see `Journal.release`."""
        self.connection.execute(
            "UPDATE runs SET lease_owner = NULL, lease_expires_at = NULL WHERE run = ? AND lease_owner = ?",
            (run, owner),
        )

    def delete(self, run: str) -> None:
        """Remove a run with its records, those that still wait here included; see `Journal.delete`."""
        self.flush()
        self._heads.pop(run, None)
        if self.connection.execute("DELETE FROM runs WHERE run = ?", (run,)).rowcount == 0:
            raise RunNotFound(run)

    # --- the connection ---

    def durability(self) -> Durability:
        """What SQLite says of this connection; see `Journal.durability`."""
        (mode,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        (level,) = self.connection.execute("PRAGMA synchronous").fetchone()
        settings = {"journal_mode": mode, "synchronous": f"{level} ({_SYNCHRONOUS[level]})"}
        # In WAL mode NORMAL does not wait for the log when it commits.
        return Durability(level >= _SYNCHRONOUS.index("FULL"), settings)
