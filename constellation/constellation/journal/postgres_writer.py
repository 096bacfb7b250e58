"""What is written to PostgreSQL, and how; every function runs inside a transaction that the caller holds.

Records wait in memory until they can be stored all in one statement. As long as nothing else is to be done, that
statement is the whole transaction, and a group of calls costs one way to the server and back.

The writer remembers the last number of the runs that it writes to. The primary key of the records refuses a number that
another writer has taken meanwhile, and their foreign key one of a run that is gone: then nothing of the transaction is
kept, and it is done again by what the database says.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import errors as pg

from .base import INITIAL_STATE, Durability, Record
from .errors import RunBusy, RunExists, RunNotFound, SequenceConflict
from .group_commit import Outdated
from .postgres_server import Connection, PostgresServer, restored, stored

MAX_HEADS = 10_000
"""How many runs' last sequence numbers are remembered; beyond that all are forgotten and read again."""

STATEMENT_BYTES = 32 * 1024 * 1024
"""After how many bytes of bodies a statement ends; PostgreSQL takes less than a gigabyte at once."""

_INSERT = """
    INSERT INTO constellation_records (run, seq, at, kind, crc, body)
    SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::double precision[], %s::text[], %b::bigint[], %b::bytea[])
"""

_Row = tuple[int, int, float, str, int, bytes]


class PostgresWriter:
    """The writing connection, made again when it has been lost, and what is known of the runs that were written to."""

    def __init__(self, connection: Connection, server: PostgresServer) -> None:
        self._connection = connection
        self._server = server
        self._heads: dict[str, tuple[int, int]] = {}  # run id -> its key, its last sequence number
        self._locked: set[str] = set()  # runs whose heads were read in this transaction, and hold until its end
        self._rows: list[_Row] = []
        self._begun = False

    # --- transactions ---

    def begin(self) -> None:
        """See that there is a connection; the transaction itself begins with the first statement that needs one."""
        self._locked.clear()
        if self._connection.closed:
            self._connection = self._server.connect()
            self._heads.clear()
        if len(self._heads) > MAX_HEADS:
            self._heads.clear()

    def commit(self) -> None:
        """Make everything since `begin` durable."""
        if self._begun:
            self._connection.execute("COMMIT")
            self._begun = False

    def rollback(self) -> None:
        """Undo everything since `begin`. A connection that is lost has done so, or has committed, or still does."""
        self._rows.clear()
        self._heads.clear()
        if self._begun:
            self._begun = False
            try:
                self._connection.execute("ROLLBACK")
            except psycopg.Error:
                self._connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def translate(self, error: Exception) -> Exception:
        """The journal's error for one of PostgreSQL's; any other is returned as it is."""
        return self._server.translate(error) if isinstance(error, psycopg.Error) else error

    def flush(self) -> None:
        """Hand the waiting records to PostgreSQL.

        Raises:
            Outdated: another writer has written to the same runs, or removed them.
        """
        chunks = list(_chunks(self._rows))
        self._rows = []
        for rows in chunks:
            if len(chunks) > 1:
                self._begin()
            try:
                self._connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
            except (pg.UniqueViolation, pg.ForeignKeyViolation, pg.DeadlockDetected) as error:
                raise Outdated from error

    def _execute(self, query: str, parameters: Sequence[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        self._begin()
        try:
            return self._connection.execute(query, parameters)
        except pg.DeadlockDetected as error:
            raise Outdated from error

    def _begin(self) -> None:
        if not self._begun:
            self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            self._begun = True

    # --- records ---

    def append(self, records: Sequence[Record]) -> None:
        """Take records in if all of them are next; see `Journal.append`.

        Raises:
            Outdated: they are not by what is remembered of their run, which others may have written to since.
        """
        unknown = {record.run for record in records} - self._heads.keys()
        heads = {run: head for run in sorted(unknown) if (head := self._read_head(run))}  # all lock them in one order
        rows: list[_Row] = []
        for record in records:
            run = record.run
            head = heads.get(run) or self._heads.get(run)
            if head is None:
                raise RunNotFound(run)
            key, last = head
            if record.seq != last + 1:
                raise SequenceConflict(run, last + 1, record.seq) if run in self._locked else Outdated
            heads[run] = (key, record.seq)
            rows.append((key, record.seq, record.at, stored(record.kind), zlib.crc32(record.body), record.body))
        self._heads |= heads
        self._rows += rows

    def _read_head(self, run: str) -> tuple[int, int] | None:
        """The key and last number of a run, if there is one; nobody else writes to it until the transaction ends.

        They take two statements: one would count by what was committed before it waited for the lock.
        """
        locked = "SELECT key FROM constellation_runs WHERE run = %s FOR UPDATE"
        row = self._execute(locked, (stored(run),)).fetchone()
        if row is None:
            return None
        last = "SELECT max(seq) FROM constellation_records WHERE run = %s"
        (seq,) = self._execute(last, row).fetchall()[0]
        self._locked.add(run)
        return row[0], seq or 0

    # --- runs ---

    def create_run(self, run: str, *, name: str, at: float, parent: str | None, info: str) -> None:
        """Add a run; see `Journal.create_run`. `info` is JSON text."""
        added = self._execute(
            "INSERT INTO constellation_runs (run, name, state, created_at, touched_at, parent, info) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (run) DO NOTHING",
            (
                stored(run),
                stored(name),
                stored(INITIAL_STATE),
                at,
                at,
                stored(parent) if parent is not None else None,
                info,
            ),
        )
        if added.rowcount == 0:
            raise RunExists(run)

    def set_state(self, run: str, state: str, *, at: float, info: str) -> None:
        """Change a run's summary; see `Journal.set_state`. `info` is the JSON text of what to merge."""
        (known,) = self._lock(run, "info")
        merged = json.dumps(json.loads(known) | json.loads(info), separators=(",", ":"))
        self._execute(
            "UPDATE constellation_runs SET state = %s, touched_at = greatest(touched_at, %s), info = %s WHERE run = %s",
            (stored(state), at, merged, stored(run)),
        )

    def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Take or renew a lease while no one else can; see `Journal.acquire`."""
        holder, expires_at = self._lock(run, "lease_owner, lease_expires_at")
        if holder is not None and holder != stored(owner) and expires_at > at:
            raise RunBusy(run, restored(holder), expires_at, at=at)
        self._execute(
            "UPDATE constellation_runs SET lease_owner = %s, lease_expires_at = %s WHERE run = %s",
            (stored(owner), at + lease_s, stored(run)),
        )

    def _lock(self, run: str, columns: str) -> tuple[Any, ...]:
        """Columns of a run, which nobody else can change until the transaction ends."""
        query = f"SELECT {columns} FROM constellation_runs WHERE run = %s FOR NO KEY UPDATE"
        row = self._execute(query, (stored(run),)).fetchone()
        if row is None:
            raise RunNotFound(run)
        return row

    def release(self, run: str, *, owner: str) -> None:
        """Give up a lease; see `Journal.release`."""
        self._execute(
            "UPDATE constellation_runs SET lease_owner = NULL, lease_expires_at = NULL "
            "WHERE run = %s AND lease_owner = %s",
            (stored(run), stored(owner)),
        )

    def delete(self, run: str) -> None:
        """Remove a run with its records, those that still wait here included; see `Journal.delete`."""
        self.flush()
        self._heads.pop(run, None)
        if self._execute("DELETE FROM constellation_runs WHERE run = %s", (stored(run),)).rowcount == 0:
            raise RunNotFound(run)

    # --- the connection ---

    def durability(self) -> Durability:
        """What the server says of this connection; see `Journal.durability`."""
        query = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        fsync, commits = self._execute(query, ()).fetchall()[0]
        return Durability(fsync == "on" and commits != "off", {"fsync": fsync, "synchronous_commit": commits})


def _chunks(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """The rows in statements of no more than `STATEMENT_BYTES`, unless a single one is larger."""
    start, size = 0, 0
    for number, row in enumerate(rows):
        size += len(row[-1])
        if size > STATEMENT_BYTES and number > start:
            yield rows[start:number]
            start, size = number, len(row[-1])
    if start < len(rows):
        yield rows[start:]
