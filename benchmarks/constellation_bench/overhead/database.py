"""The PostgreSQL database of the case `journaled_postgres`: one that is given, or a server that is started for it.

Each sample has a schema of its own there, which is dropped after it. Where the server's processes can be seen from
here, their CPU time is known.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import anyio
import psutil
from anyio.to_thread import run_sync

from constellation.journal import JournalError, without_password

from ..errors import MeasurementFailed
from ..machine import file_system

if TYPE_CHECKING:
    from constellation.journal.postgres_server import Connection

OPTIONS = ("listen_addresses=", "log_min_messages=fatal")
"""How a server that is started differs from one as PostgreSQL comes: it is reached by a socket alone, and is quiet."""

SOCKET_PATH_LENGTH = 60
"""How long the path of a directory may be that a socket's directory is made in: on Linux all may take 107 bytes."""

SAME_PROCESS_S = 5.0
"""How far the server's clock may be from this machine's when both tell when a process has begun."""


class DatabaseMissing(Exception):
    """Raised when there is no database to measure with; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the journal of the case is.

    Attributes:
        url: The database's URL.
        about: What it is, for people; without a password.
        version: The server's version.
        server: The server's first process, whose descendants are all others; None when it can't be seen from here.
    """

    url: str
    about: str
    version: str
    server: int | None

    def as_json(self) -> dict[str, Any]:
        """For programs, and for the table; without the password."""
        return {"about": self.about, "version": self.version, "server_cpu_known": self.server is not None}

    @asynccontextmanager
    async def schema(self) -> AsyncIterator[str]:
        """The URL of a new schema, which is dropped in the end."""
        name = f"constellation_bench_{secrets.token_hex(8)}"
        await run_sync(partial(_execute, self.url, f"CREATE SCHEMA {name}"))
        try:
            yield _within(self.url, name)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(partial(_execute, self.url, f"DROP SCHEMA {name} CASCADE"))


@asynccontextmanager
async def open_database(url: str | None, folder: Path) -> AsyncIterator[Database]:
    """The database at a URL; without one, that of a server which is started for it and stopped in the end.

    Args:
        url: The URL, or None.
        folder: Where a server that is started has its files, if its user gets there; else they are with the system's
            temporary ones.

    Raises:
        DatabaseMissing: none was given, and no server can be started here.
        MeasurementFailed: the database that was given can't be used.
    """
    if find_spec("psycopg") is None:
        raise DatabaseMissing("psycopg not installed: pip install 'constellation-agents[postgres]'")
    if url is not None:
        yield await run_sync(_found, url, without_password(url))
        return
    async with _own_server(folder) as (own, about):
        yield await run_sync(_found, own, about)


@asynccontextmanager
async def _own_server(folder: Path) -> AsyncIterator[tuple[str, str]]:
    from constellation.testing.errors import ServerFailed
    from constellation.testing.postgres import PostgresServer

    if not PostgresServer.installed():
        raise DatabaseMissing(
            "no PostgreSQL server to start here (initdb and pg_ctl): install one, on Debian the package postgresql, "
            "or give a database by --store postgresql://…"
        )
    server = PostgresServer(within=folder if _can_hold_a_socket(folder) else None, options=OPTIONS)
    try:
        await run_sync(server.__enter__)
    except (ServerFailed, OSError) as error:
        raise DatabaseMissing(
            f"a PostgreSQL server can't be started here: {error}; give a database by --store postgresql://…"
        ) from error
    try:
        yield server.url(), f"a server of its own, files on {file_system(server.directory)}"
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(server.__exit__, None, None, None)


def _can_hold_a_socket(folder: Path) -> bool:
    from constellation.testing.postgres import PostgresServer

    return len(os.path.realpath(folder)) <= SOCKET_PATH_LENGTH and PostgresServer.can_enter(folder)


def _found(url: str, about: str) -> Database:
    with _connected(url) as connection:
        version = connection.execute("SHOW server_version").fetchall()[0][0]
        row = connection.execute(
            "SELECT pid, extract(epoch FROM backend_start)::float FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()
        return Database(url, about, str(version).split()[0], _first_process(*row) if row else None)


def _first_process(pid: int, began_at: float) -> int | None:
    """The server's first process, if the one that serves a connection is a process of this machine."""
    try:
        process = psutil.Process(pid)
        if process.name().startswith("postgres") and abs(process.create_time() - began_at) < SAME_PROCESS_S:
            return process.ppid()
    except psutil.Error:
        return None
    return None


def _connected(url: str) -> Connection:
    """A connection as the journal has it: what is said when there is none names no password."""
    from constellation.journal.postgres_server import PostgresServer

    try:
        return PostgresServer(url, synchronous="full").connect()
    except JournalError as error:
        raise MeasurementFailed(f"has no database: {error}") from error


def _execute(url: str, statement: str) -> None:
    import psycopg

    with _connected(url) as connection:
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise MeasurementFailed(f"can't use the database {without_password(url)}: {said}") from error


def _within(url: str, schema: str) -> str:
    """The URL, with a schema in place of the search path that it may name; of repeated options the last one holds."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query["options"] = f"{query.get('options', '')} -csearch_path={schema}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
