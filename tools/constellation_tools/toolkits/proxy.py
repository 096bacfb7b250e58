"""An HTTP proxy on loopback that lets a browser reach allowed hosts only, at the very addresses that were checked.

It resolves the names itself, so nothing is resolved again between the check and the connection, and all that a page
can start goes through it alike: redirects, frames, images, fetches, workers, and WebSockets, which are tunnelled like
TLS. What is refused gets no answer at all; `why` tells the reason. It asks for no password: whoever can reach it runs
on this machine, and reaches from there what it reaches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import h11
from anyio.abc import TaskStatus

from ..errors import Confined, ToolFailed, ToolsError
from .http_client import MAX_HEAD_BYTES
from .network import DEFAULT_PORTS, AllowList, Target, public_addresses

CONNECT_S = 30.0
"""How long connecting to a server may take."""

IDLE_S = 120.0
"""How long a server may say nothing in the middle of an answer to a plain request."""

MAX_REFUSALS = 1000
"""Of how many hosts it is remembered why they were refused."""

_READ_BYTES = 64 * 1024
# What is between two neighbours, and no business of the next one.
_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "upgrade",
    }
)  # fmt: skip
_BROKEN = (
    OSError, TimeoutError, h11.ProtocolError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream,
)  # fmt: skip


class _TooMuch(Exception):
    """Raised where more has come than there may."""


@dataclass(slots=True)
class CheckingProxy:
    """The proxy, and what it remembers.

    Attributes:
        allowed: What may be reached.
        max_bytes: How much may be received until it is filled up again.
    """

    allowed: AllowList
    max_bytes: int
    _left: int = field(init=False)
    _refusals: OrderedDict[str, ToolsError] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._left = self.max_bytes

    def refill(self) -> None:
        """Let `max_bytes` be received once more."""
        self._left = self.max_bytes

    def why(self, url: str) -> ToolsError | None:
        """Why what a URL leads to was not let through or not reached, if so."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        port = {**DEFAULT_PORTS, "ws": 80, "wss": 443}.get(parts.scheme) if port is None else port
        return self._refusals.get(f"{parts.hostname}:{port}")

    async def serve(self, *, task_status: TaskStatus[int]) -> None:
        """Listen on a free port of the loopback, which is told, until cancelled."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
            await listener.serve(self._handle)

    async def _handle(self, client: anyio.abc.ByteStream) -> None:
        try:
            await self._converse(client)
        except (*_BROKEN, _TooMuch):
            pass  # the browser is told by the end of the connection, and tells whoever waits for the answer
        finally:
            await anyio.aclose_forcefully(client)

    async def _converse(self, client: anyio.abc.ByteStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        while True:
            request = await _next(connection, client)
            if not isinstance(request, h11.Request):
                return
            place = request.target.decode("ascii")
            is_tunnel = request.method == b"CONNECT"
            try:
                target = self.allowed.check(f"https://{place}/" if is_tunnel else place)
                upstream = await self._connect(target)
            except (Confined, ToolFailed) as error:
                self._refuse(place, error, is_tunnel=is_tunnel)
                return
            try:
                if is_tunnel:
                    await client.send(_sent(connection, h11.Response(status_code=200, headers=[])))
                    await self._tunnel(client, upstream, connection.trailing_data[0])
                    return
                await self._forward(request, target, connection, client, upstream)
            finally:
                await anyio.aclose_forcefully(upstream)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    def _refuse(self, place: str, reason: ToolsError, *, is_tunnel: bool) -> None:
        parts = urlsplit(f"//{place}" if is_tunnel else place)
        self._refusals[f"{parts.hostname}:{parts.port or 80}"] = reason
        if len(self._refusals) > MAX_REFUSALS:
            self._refusals.popitem(last=False)

    async def _connect(self, target: Target) -> anyio.abc.ByteStream:
        failure: Exception | None = None
        for address in await public_addresses(target):
            try:
                with anyio.fail_after(CONNECT_S):
                    return await anyio.connect_tcp(address, target.port)
            except OSError as error:
                failure = error
        raise ToolFailed(f"can't connect to {target.authority}: {failure}") from failure

    async def _forward(
        self,
        request: h11.Request,
        target: Target,
        connection: h11.Connection,
        client: anyio.abc.ByteStream,
        upstream: anyio.abc.ByteStream,
    ) -> None:
        """Carry one plain request to its server and the answer back."""
        onward = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        headers = [("host", target.authority), ("connection", "close"), *_passed_on(request.headers, {"host"})]
        data = _sent(onward, h11.Request(method=request.method, target=target.path, headers=headers))
        while True:
            await upstream.send(data)
            event = await _next(connection, client)
            data = _sent(onward, event)
            if isinstance(event, h11.EndOfMessage):
                break
        if data:
            await upstream.send(data)
        while True:
            with anyio.fail_after(IDLE_S):
                event = await _next(onward, upstream)
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                passed = _passed_on(event.headers, {"transfer-encoding"})
                event = h11.Response(status_code=event.status_code, headers=passed, reason=event.reason)
            elif isinstance(event, h11.Data):
                self._take(len(event.data))
            elif not isinstance(event, h11.EndOfMessage):
                return
            if data := _sent(connection, event):
                await client.send(data)
            if isinstance(event, h11.EndOfMessage):
                return

    async def _tunnel(self, client: anyio.abc.ByteStream, upstream: anyio.abc.ByteStream, first: bytes) -> None:
        if first:
            await upstream.send(first)
        async with anyio.create_task_group() as group:

            async def carry(source: anyio.abc.ByteStream, to: anyio.abc.ByteStream, *, counted: bool) -> None:
                try:
                    async for chunk in source:
                        if counted:
                            self._take(len(chunk))
                        await to.send(chunk)
                    await to.send_eof()
                except (*_BROKEN, _TooMuch):
                    group.cancel_scope.cancel()

            group.start_soon(lambda: carry(client, upstream, counted=False))
            await carry(upstream, client, counted=True)

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooMuch


async def _next(connection: h11.Connection, stream: anyio.abc.ByteStream) -> Any:
    """The next event of a connection; bytes are received for it where that takes some."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        try:
            connection.receive_data(await stream.receive(_READ_BYTES))
        except anyio.EndOfStream:
            connection.receive_data(b"")
    return event


def _sent(connection: h11.Connection, event: Any) -> bytes:
    return connection.send(event) or b""


def _passed_on(headers: Iterable[tuple[bytes, bytes]], left_out: set[str]) -> list[tuple[str, str]]:
    """The headers that are meant for the other end."""
    pairs = [(name.decode("ascii").lower(), value.decode("latin-1")) for name, value in headers]
    return [(name, value) for name, value in pairs if name not in _HOP and name not in left_out]
