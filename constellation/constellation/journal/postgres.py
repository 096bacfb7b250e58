"""The journal in a PostgreSQL database, for several orchestrators on several machines."""

from __future__ import annotations

from anyio.to_thread import run_sync

from .base import Synchronous
from .postgres_reader import PostgresReader
from .postgres_server import CLOSING_S, Connection, PostgresServer
from .postgres_writer import PostgresWriter
from .threaded import ThreadedJournal


class PostgresJournal(ThreadedJournal):
    """A journal in a database.

    When the server is lost, calls raise `JournalAway`; the next one connects again.
    """

    may_be_away = True

    def __init__(self, writing: Connection, reading: Connection, server: PostgresServer) -> None:
        """Take both connections over; see `open`."""
        super().__init__(PostgresWriter(writing, server), PostgresReader(reading, server), server.where)
        self._server = server

    @classmethod
    async def open(cls, url: str, *, synchronous: Synchronous = "full") -> PostgresJournal:
        """Open the database at a URL, and make the tables if they are not there.

        Raises:
            UnsupportedJournal: the URL makes no sense.
            JournalError: the server can't be reached or would lose what it is given, or the journal is from a newer
                version.
        """
        server = PostgresServer(url, synchronous=synchronous)
        writing, reading = await run_sync(_open, server)
        return cls(writing, reading, server)

    async def aclose(self) -> None:
        """Implement `Journal.aclose`; a server that says nothing more does not keep it from closing."""
        self._server.answer_s = CLOSING_S
        await super().aclose()


def _open(server: PostgresServer) -> tuple[Connection, Connection]:
    server.prepare()
    writing = server.connect()
    try:
        return writing, server.connect()
    except BaseException:
        writing.close()
        raise
