"""The PostgreSQL database of a journal: how it is reached, made ready and recognised, and what its errors mean.

The tables are made in the first schema of the search path, so that `?options=-csearch_path%3Dname` in the URL gives
several journals one database. Passwords stay in the URL: whatever is told names the place without it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import psycopg
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .base import Synchronous
from .errors import JournalAway, JournalCorrupt, JournalError, JournalTooNew, JournalUnavailable, UnsupportedJournal

T = TypeVar("T")

FORMAT_VERSION = 1
"""The version of the tables below; goes up with every change that older software can't read."""

LOCK_TIMEOUT_S = 10.0
"""How long a statement waits for another session's transaction before it fails."""

IDLE_TRANSACTION_S = 5.0
"""How long the server keeps a transaction whose session says nothing: a hub that stops in the middle of one, perhaps
with its whole machine, must not keep others from its runs."""

ANSWER_S = 30.0
"""How long the server may say nothing to a statement before its connection counts as lost."""

CLOSING_S = 3.0
"""The same once the journal is being closed: a server that hangs does not keep the program from ending."""

CONNECTING: Final[Mapping[str, int | str]] = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 20_000,  # milliseconds; else a host that has vanished is noticed after a quarter of an hour
    "keepalives_idle": 10,  # seconds
    "application_name": "constellation",
}
"""What the URL may say otherwise."""

TABLES_LOCK = 0x636F6E7374656C6C
"""The advisory lock under which the tables are made, so that two that begin at once do not both make them."""

_TABLES: Final = (
    "CREATE TABLE constellation_format (version integer NOT NULL)",
    """
    CREATE TABLE constellation_runs (
        key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        run text COLLATE "C" NOT NULL UNIQUE,
        name text NOT NULL,
        state text NOT NULL,
        created_at double precision NOT NULL,
        touched_at double precision NOT NULL,
        parent text,
        info text NOT NULL,
        lease_owner text,
        lease_expires_at double precision
    )
    """,
    "CREATE INDEX constellation_runs_newest ON constellation_runs (created_at, key)",
    """
    CREATE TABLE constellation_records (
        run bigint NOT NULL REFERENCES constellation_runs (key) ON DELETE CASCADE,
        seq bigint NOT NULL,
        at double precision NOT NULL,
        kind text NOT NULL,
        crc bigint NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (run, seq)
    )
    """,
)


class Silent(psycopg.OperationalError):
    """Raised when the server does not answer a statement in time."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose server has to answer in time, and which is closed when it is of no more use.

    Attributes:
        server: Says what time the server has.
    """

    server: PostgresServer

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        """Do what `psycopg.Connection.wait` does, which all statements go through.

        Raises:
            Silent: there was no answer in time; what the statement was to do may be done nonetheless.
            psycopg.Error: what the statement raises.
        """
        try:
            return super().wait(self._answered(gen), *args, **options)
        except (Silent, pg.ReadOnlySqlTransaction):  # by another connection another server may answer
            self.close()
            raise

    def _answered(self, gen: PQGen[T]) -> PQGen[T]:
        """Pass on what a generator waits for, and what has come; nothing has when a wait was only looked at."""
        silent_since = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    silent_since = time.monotonic()
                elif time.monotonic() - silent_since > self.server.answer_s:
                    raise Silent(f"the server has not answered for {self.server.answer_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as stop:
            result: T = stop.value
            return result


class PostgresServer:
    """Where a journal is, and how sure it has to be of what it stores.

    Attributes:
        where: The place for people, without the password.
        answer_s: How long it may say nothing to a statement, in seconds; may be changed from any thread, and counts for
            statements under way too.
    """

    def __init__(self, url: str, *, synchronous: Synchronous) -> None:
        """Take a URL apart; nothing is dialled yet.

        Raises:
            UnsupportedJournal: it makes no sense to libpq.
        """
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error:  # its text repeats the URL
            raise UnsupportedJournal(
                "the journal's PostgreSQL URL can't be read: it looks like "
                "postgresql://user:password@host:5432/database, with %40 for an @ in the password"
            ) from None
        self._conninfo = make_conninfo(url, **{key: value for key, value in CONNECTING.items() if key not in parts})
        self._password = str(parts.get("password") or os.environ.get("PGPASSWORD") or "")
        self._synchronous = synchronous
        self.answer_s = ANSWER_S
        user = f"{parts['user']}@" if parts.get("user") else ""
        host = quote(str(parts.get("host") or ""), safe=":,")
        port = f":{parts['port']}" if parts.get("port") else ""
        self.where = f"postgresql://{user}{host}{port}/{parts.get('dbname') or ''}"

    def prepare(self) -> None:
        """Make the tables unless they are there.

        Raises:
            JournalError: the server can't be reached or does not allow it, or the journal is from a newer version.
        """
        with self.connect() as connection:
            try:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (TABLES_LOCK,))
                    if not _has_tables(connection):
                        for table in _TABLES:
                            connection.execute(table)
                        connection.execute("INSERT INTO constellation_format VALUES (%s)", (FORMAT_VERSION,))
                self._check_format(connection)
            except psycopg.Error as error:
                raise self.translate(error) from error

    def connect(self) -> Connection:
        """Connect, in autocommit mode. The connection may be used from any thread, by one at a time.

        Raises:
            JournalUnavailable: the server can't be reached, or would not keep what it is given.
        """
        try:
            connection = Connection.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise self.translate(error) from error
        connection.server = self
        try:
            self._set_up(connection)
        except psycopg.Error as error:
            connection.close()
            raise self.translate(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: Connection) -> None:
        connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S:g}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_S:g}s'")
        encoding, fsync, commits = _one(
            connection,
            "SELECT current_setting('server_encoding'), current_setting('fsync'), "
            "current_setting('synchronous_commit')",
        )
        if encoding != "UTF8":
            raise JournalUnavailable(
                self.where, f"the database's encoding is {encoding}; make one with CREATE DATABASE … ENCODING 'UTF8'"
            )
        connection.execute("SET client_encoding = 'UTF8'")
        if self._synchronous == "normal":
            connection.execute("SET synchronous_commit = off")
            return
        if fsync != "on":
            raise JournalUnavailable(
                self.where,
                "the server runs with fsync off, and may lose what it has confirmed; "
                "turn fsync on, or open the journal with synchronous='normal'",
            )
        if commits in ("off", "local"):  # what is stricter than `on` stays
            connection.execute("SET synchronous_commit = on")

    def _check_format(self, connection: Connection) -> None:
        row = connection.execute("SELECT version FROM constellation_format").fetchone()
        if row is None:
            raise JournalCorrupt(self.where, "its format version is missing")
        if row[0] > FORMAT_VERSION:
            raise JournalTooNew(self.where, row[0], FORMAT_VERSION)

    def translate(self, error: psycopg.Error) -> JournalError:
        """The journal's error for one of PostgreSQL's."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if self._password:
            reason = reason.replace(self._password, "***")
        match error:
            case pg.DataCorrupted() | pg.IndexCorrupted():
                return JournalCorrupt(self.where, reason)
            case pg.LockNotAvailable():
                return JournalAway(self.where, f"another session has kept it locked for {LOCK_TIMEOUT_S:g} s")
            case pg.ReadOnlySqlTransaction():
                return JournalAway(self.where, f"{reason}; it may have become a replica: name the server that is none")
            case pg.IdleInTransactionSessionTimeout():
                return JournalAway(self.where, f"{reason}: this process was stopped meanwhile")
            case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
                return JournalAway(
                    self.where,
                    f"{reason}; see that the server runs, can be reached and lets this user in: the next call "
                    "connects again",
                )
            case pg.InsufficientPrivilege():
                reason = f"{reason}; the user needs CREATE in the schema once, then its tables"
        return JournalUnavailable(self.where, reason)


def _has_tables(connection: Connection) -> bool:
    return _one(connection, "SELECT to_regclass('constellation_format') IS NOT NULL")[0] is True


def _one(connection: Connection, query: str) -> tuple[Any, ...]:
    """The only row of a query that always has one."""
    (row,) = connection.execute(query).fetchall()
    return row


def stored(text: str) -> str:
    r"""A text as PostgreSQL can hold it: a NUL is written `\0`, and so a backslash `\\`.

    What begins with a text is stored as what begins with the stored text, so that prefixes can be looked up.
    """
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def restored(text: str) -> str:
    """The text that was `stored`."""
    return re.sub(r"\\(.)", lambda match: "\0" if match[1] == "0" else match[1], text) if "\\" in text else text
