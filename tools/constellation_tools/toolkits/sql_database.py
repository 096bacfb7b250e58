"""One database through SQLAlchemy, opened anew for each call, so that nothing is left over from one to the next.

SQLite is opened with `mode=ro`, and an authorizer refuses what leads out of the file: ATTACH, extensions, pragmas.
PostgreSQL runs a query in a read-only transaction, as a cursor, which takes nothing but a query, and gives it up
after a time limit. A query has been run before, so the transaction can't be made writable any more.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import create_engine, exc, inspect, pool, text
from sqlalchemy.engine import URL, Connection, CursorResult, make_url

from ..errors import ToolFailed

MAX_VALUE_BYTES = 16 * 1024 * 1024
"""The longest text or blob that SQLite makes or reads."""

_STEPS = 10_000
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_TRANSACTION}
_INSPECTING = {"table_info", "table_xinfo", "table_list", "foreign_key_list", "index_list", "index_info"}
_ASKING = {"read_uncommitted"}  # what SQLAlchemy asks of each new connection
_FORBIDDEN = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}  # the latter tells, and may set, addresses in memory


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view: columns are name, type, and whether they may be null."""

    name: str
    columns: list[tuple[str, str, bool]]
    primary_key: list[str]
    references: list[str]


class Database:
    """Where queries and statements go."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Take a database by URL; nothing is opened yet.

        Raises:
            ValueError: the URL is not one of SQLite or PostgreSQL.
        """
        try:
            self._url = make_url(url)
        except exc.ArgumentError:
            raise ValueError("the URL of the database can't be understood") from None  # it may hold a password
        self._timeout_s = timeout_s
        kind = self._url.get_backend_name()
        if kind == "sqlite" and self._url.database not in (None, "", ":memory:"):
            self._path = Path(str(self._url.database)).resolve()
        elif kind == "postgresql":
            self._url = self._url.set(drivername="postgresql+psycopg")
            host = unquote(self._url.host or "")
            if host.startswith("/"):  # a directory with a socket, as libpq writes it
                self._url = self._url.set(host="").update_query_dict({"host": host})
        else:
            raise ValueError(f"{self._url} is neither a file of SQLite nor a database of PostgreSQL")

    @contextmanager
    def reading(self, query: str, parameters: Mapping[str, Any]) -> Iterator[CursorResult[Any]]:
        """Run a query that can't write.

        Raises:
            ToolFailed: the database refuses it, or it takes too long.
        """
        with self._connected(writable=False) as connection, self._told():
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
                self._limit_time(connection)
            connection = connection.execution_options(stream_results=True, max_row_buffer=100)
            with closing(connection.execute(text(query), parameters)) as result:
                yield result

    @contextmanager
    def writing(self, statement: str, parameters: Mapping[str, Any]) -> Iterator[CursorResult[Any]]:
        """Run one statement that may write, and commit when the block ends well.

        Raises:
            ToolFailed: the database refuses it, or it takes too long.
        """
        with self._connected(writable=True) as connection, self._told():
            if connection.dialect.name == "postgresql":
                self._limit_time(connection)
                # The extended protocol, which is that of prepared statements, takes one statement and no more.
                connection.connection.driver_connection.prepare_threshold = 0  # type: ignore[union-attr]
            with closing(connection.execute(text(statement), parameters)) as result:
                yield result
            connection.commit()

    def tables(self) -> list[Table]:
        """Describe the tables and views."""
        with self._connected(writable=False) as connection, self._told():
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
                self._limit_time(connection)
            found = inspect(connection)
            return [
                Table(
                    name,
                    [(each["name"], str(each["type"]), bool(each["nullable"])) for each in found.get_columns(name)],
                    list(found.get_pk_constraint(name)["constrained_columns"]),
                    [
                        f"{', '.join(key['constrained_columns'])} -> "
                        f"{key['referred_table']}.{', '.join(key['referred_columns'])}"
                        for key in found.get_foreign_keys(name)
                    ],
                )
                for name in sorted([*found.get_table_names(), *found.get_view_names()])
            ]

    @contextmanager
    def _connected(self, *, writable: bool) -> Iterator[Connection]:
        if self._url.get_backend_name() == "sqlite":
            engine = create_engine("sqlite://", creator=lambda: self._sqlite(writable), poolclass=pool.NullPool)
        else:
            arguments = {"connect_timeout": max(2, int(self._timeout_s))}
            engine = create_engine(self._url, connect_args=arguments, poolclass=pool.NullPool)
        try:
            with self._told():
                connection = engine.connect()
            with connection:
                yield connection
        finally:
            engine.dispose()

    def _sqlite(self, writable: bool) -> sqlite3.Connection:
        mode = "rw" if writable else "ro"
        made = sqlite3.connect(f"file:{quote(str(self._path))}?mode={mode}", uri=True, timeout=self._timeout_s)
        if hasattr(made, "setlimit"):
            made.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        made.set_authorizer(_authorize_any if writable else _authorize_reading)
        deadline = time.monotonic() + self._timeout_s
        made.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        return made

    def _limit_time(self, connection: Connection) -> None:
        connection.execute(text(f"SET LOCAL statement_timeout = {int(self._timeout_s * 1000)}"))
        connection.execute(text("SELECT 1"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Make the database's errors those of a tool, without what they might say of how to get in."""
        try:
            yield
        except exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            raise ToolFailed(_without_secrets(f"the database says: {reason}", self._url)) from None


def _authorize_reading(action: int, first: str | None, second: str | None, *_: Any) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        harmless = first in _INSPECTING or (first in _ASKING and second is None)
        return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _authorize_any(action: int, first: str | None, second: str | None, *_: Any) -> int:
    if action in _FORBIDDEN or (action == sqlite3.SQLITE_PRAGMA and not (first in _ASKING and second is None)):
        return sqlite3.SQLITE_DENY
    is_forbidden = action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN_FUNCTIONS
    return sqlite3.SQLITE_DENY if is_forbidden else sqlite3.SQLITE_OK


def _without_secrets(message: str, url: URL) -> str:
    return message.replace(str(url.password), "***") if url.password else message
