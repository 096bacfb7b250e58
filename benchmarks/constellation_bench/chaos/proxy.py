"""A TCP proxy between devices and a hub that cuts connections as networks do.

Devices dial one address for as long as the proxy lives, wherever the hub listens after it was started again; while
there is none, they are hung up on.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

import anyio
from anyio.abc import SocketAttribute, SocketStream

from constellation_protocol.tasks import background

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Manner(StrEnum):
    """How a connection comes to its end."""

    CLOSED = "closed"
    """Both ends are closed in good order, whatever was under way."""
    RESET = "reset"
    """Both ends are reset."""
    TORN = "torn"
    """Half of the next thing that is sent arrives, then both ends are reset."""
    SILENT = "silent"
    """Nothing arrives any more, and neither end is told."""


class Proxied:
    """One connection through the proxy."""

    def __init__(self, device: SocketStream, hub: SocketStream) -> None:
        self._ends = (device, hub)
        self._manner: Manner | None = None
        self._cut = anyio.Event()

    def cut(self, manner: Manner) -> None:
        """Have it come to its end."""
        self._manner = manner
        self._cut.set()

    @property
    def whole(self) -> bool:
        """Whether nothing was done to it yet."""
        return self._manner is None

    async def carry(self) -> None:
        """Carry bytes both ways until one end is gone or the connection is cut, then close both."""
        device, hub = self._ends
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, device, hub, tasks.cancel_scope)
                tasks.start_soon(self._pump, hub, device, tasks.cancel_scope)
                await self._cut.wait()
                if self._manner in (Manner.CLOSED, Manner.RESET):
                    tasks.cancel_scope.cancel()
        finally:
            for end in self._ends:
                await _close(end, reset=self._manner in (Manner.RESET, Manner.TORN))

    async def _pump(self, source: SocketStream, target: SocketStream, whole: anyio.CancelScope) -> None:
        with suppress(*_GONE):
            while True:
                data = await source.receive()
                if self._manner is Manner.SILENT:
                    continue
                if self._manner is Manner.TORN:
                    await target.send(data[: len(data) // 2])
                    break
                await target.send(data)
        whole.cancel()


async def _close(end: SocketStream, *, reset: bool) -> None:
    with anyio.CancelScope(shield=True), suppress(*_GONE):
        if reset:  # with a linger of no time the system sends a reset
            raw: socket.socket = end.extra(SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await end.aclose()


class Proxy:
    """The proxy in front of one hub. Make one with `open_proxy`.

    Attributes:
        port: Where it listens.
        hub_port: Where the hub listens at present; None while there is none.
        connections: What goes through it at present.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.hub_port: int | None = None
        self.connections: list[Proxied] = []

    async def _serve(self, device: SocketStream) -> None:
        async with device:
            if self.hub_port is None:
                return
            try:
                hub = await anyio.connect_tcp("127.0.0.1", self.hub_port)
            except OSError:
                return
            connection = Proxied(device, hub)
            self.connections.append(connection)
            try:
                await connection.carry()
            finally:
                self.connections.remove(connection)


@asynccontextmanager
async def open_proxy() -> AsyncIterator[Proxy]:
    """A proxy on a free port of this machine, for as long as the context lasts."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener, background() as tasks:
        proxy = Proxy(listener.extra(SocketAttribute.local_port))
        tasks.start_soon(listener.serve, proxy._serve)
        yield proxy
        tasks.cancel_scope.cancel()
