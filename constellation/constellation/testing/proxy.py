"""A TCP proxy between devices and a hub, for tests on real sockets: it cuts connections, counts bytes and alters them.

A cut drops both ends of a connection at once, with what is on its way. It can be put anywhere in the stream, so that it
falls into the middle of a frame too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream

from constellation_protocol.signal import Signal

Direction = Literal["up", "down"]
"""From whoever has dialled to the server, or back."""

LOOPBACK = "127.0.0.1"

_READ_BYTES = 64 * 1024


class Proxy:
    """A proxy in front of one server.

    Attributes:
        port: Where it listens, on loopback.
        cuts: How many connections were cut.
        passed: How many bytes went through in each direction.
        alter: Is given what passes and returns what arrives instead; None leaves it as it is.
    """

    def __init__(self, port: int, *, host: str, server_port: int) -> None:
        """Not for direct use: see `proxy`."""
        self.port = port
        self.cuts = 0
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self.alter: Callable[[Direction, bytes], bytes] | None = None
        self._server = host, server_port
        self._open: set[_Connection] = set()
        self._budget: int | None = None
        self._changed = Signal()

    @property
    def connections(self) -> int:
        """How many connections pass through it now."""
        return len(self._open)

    @property
    def armed(self) -> bool:
        """Whether a cut is waiting for its place in the stream."""
        return self._budget is not None

    def cut(self) -> int:
        """Cut all connections at once; returns how many there were."""
        found = [connection for connection in self._open if not connection.doomed]
        for connection in found:
            self._doom(connection)
            connection.scope.cancel()
        return len(found)

    def cut_after(self, count: int) -> None:
        """Cut the connection that carries the byte after so many more, whichever way these go."""
        self._budget = count

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; it is looked at whenever bytes have passed, and when connections come and go."""
        while not holds():
            await self._changed.wait()

    async def _carry(self, client: SocketStream) -> None:
        try:
            server = await anyio.connect_tcp(*self._server)
        except OSError:
            await anyio.aclose_forcefully(client)  # as if nobody listened here
            return
        connection = _Connection()
        self._open.add(connection)
        self._changed.notify()
        try:
            async with anyio.create_task_group() as tasks:
                connection.scope = tasks.cancel_scope
                tasks.start_soon(self._pump, connection, client, server, "up")
                tasks.start_soon(self._pump, connection, server, client, "down")
        finally:
            self._open.discard(connection)
            with anyio.CancelScope(shield=True):
                for stream in (client, server):
                    await anyio.aclose_forcefully(stream)
            self._changed.notify()

    async def _pump(self, connection: _Connection, source: SocketStream, sink: SocketStream, way: Direction) -> None:
        try:
            while True:
                data = await source.receive(_READ_BYTES)
                if self._budget is not None and len(data) > self._budget:
                    data, self._budget = data[: self._budget], None
                    self._doom(connection)
                elif self._budget is not None:
                    self._budget -= len(data)
                if data:
                    await sink.send(data if self.alter is None else self.alter(way, data))
                self.passed[way] += len(data)
                self._changed.notify()
                if connection.doomed:
                    connection.scope.cancel()
        except anyio.EndOfStream:
            await sink.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            connection.scope.cancel()

    def _doom(self, connection: _Connection) -> None:
        if not connection.doomed:
            connection.doomed = True
            self.cuts += 1


class _Connection:
    """What looks like one connection to its ends."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.doomed = False


@asynccontextmanager
async def proxy(server_port: int, *, host: str = LOOPBACK) -> AsyncIterator[Proxy]:
    """Open a proxy on a free port of loopback, in front of a server; leaving the context drops all connections.

    Args:
        server_port: The server's port. It need not be there yet.
        host: Where the server is.
    """
    async with await anyio.create_tcp_listener(local_host=LOOPBACK) as listener:
        made = Proxy(listener.extra(SocketAttribute.local_port), host=host, server_port=server_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, made._carry)
            yield made
            tasks.cancel_scope.cancel()
