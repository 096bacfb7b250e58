"""Frames over a WebSocket: text frames are text messages, binary frames binary ones.

Compression is off (frames are small, and a compressed one would hide its size from the limit), and so are the
library's own pings: the session has its heartbeat.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, ClassVar
from urllib.parse import urlsplit

import anyio
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.http11 import Request, Response

from .connections import Connections
from .errors import FrameTooLarge, TransportClosed
from .settings import HANDSHAKE_TIMEOUT_S, ConnectionLimits
from .tls import certificate_names
from .transport import Peer

CLOSE_TIMEOUT_S = 1.0
"""How long closing in good order waits for the peer's part of it."""

RECEIVE_QUEUE = 16
"""How many frames may wait unread before the peer is slowed down by TCP."""

_TOO_BIG = 1009

_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.INFO)  # what the library logs below that is frames, and the first ones hold tokens


class WebSocketTransport:
    """A transport over one WebSocket connection."""

    def __init__(self, connection: Connection, *, max_frame_bytes: int) -> None:
        self._connection = connection
        self._max_frame_bytes = max_frame_bytes

    @property
    def peer(self) -> Peer:
        """What the network says of the other end."""
        tls = self._connection.transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        return Peer(_address(self._connection), certificate_names(certificate) if certificate else None)

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; waits while the socket's buffer is full."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise TransportClosed(f"the WebSocket is closed: {error}") from error

    async def receive(self) -> str | bytes:
        """Wait for the next frame."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code == _TOO_BIG:
                raise FrameTooLarge(None, self._max_frame_bytes) from error
            raise TransportClosed(f"the WebSocket is closed: {error}") from error

    async def aclose(self) -> None:
        """Do the closing handshake, within `CLOSE_TIMEOUT_S`."""
        await self._connection.close()

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._connection.transport.abort()


class _Connect(connect):
    """Follows no redirects: a hello holds a token, and goes to the host that the user named or to none."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def connect_websocket(url: str, *, max_frame_bytes: int, ssl: SSLContext | None = None) -> WebSocketTransport:
    """Connect to a WebSocket server; a loopback address is reached directly, others by the system's proxy settings.

    Raises:
        TransportClosed: there is no server at this URL, or it does not answer as one.
    """
    options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
    try:
        connection = await _Connect(
            url,
            compression=None,
            proxy=None if _is_loopback(url) else True,
            open_timeout=HANDSHAKE_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=max_frame_bytes,
            max_queue=RECEIVE_QUEUE,
            logger=_LOGGER,
            **options,
        )
    except (OSError, InvalidHandshake, InvalidURI, EOFError, ValueError) as error:
        raise TransportClosed(f"can't connect to {_without_secrets(url)}: {error}") from error
    return WebSocketTransport(connection, max_frame_bytes=max_frame_bytes)


class _Counted(ServerConnection):
    """A connection that is counted from its first byte to its last."""

    connections: ClassVar[Connections]
    _from = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._from = _address(self)
        self.connections.opened(self._from)
        if self.connections.flooded:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.closed(self._from)
        super().connection_lost(exc)


def _address(connection: Connection) -> str:
    address = connection.remote_address
    return str(address[0]) if address else ""


@asynccontextmanager
async def serve_websockets(
    handle: Callable[[WebSocketTransport, str], Awaitable[None]],
    *,
    host: str,
    port: int,
    known_path: Callable[[str], bool],
    max_frame_bytes: int,
    ssl: SSLContext | None,
    limits: ConnectionLimits,
) -> AsyncIterator[Server]:
    """Serve WebSockets: `handle` gets a transport and its path, and the connection is closed when it returns.

    Requests that a browser sends on behalf of a web page (they name an origin) are refused.
    """

    async def on_connection(connection: ServerConnection) -> None:
        assert connection.request is not None, "a connection is handed over after its opening request"
        transport = WebSocketTransport(connection, max_frame_bytes=max_frame_bytes)
        await handle(transport, urlsplit(connection.request.path).path)

    open_now = Connections(limits)

    class Counted(_Counted):
        connections = open_now

    def check(connection: ServerConnection, request: Request) -> Response | None:
        objection = open_now.objection(_address(connection))
        if objection is not None:
            return connection.respond(503, f"{objection}: try again later\n")
        if known_path(urlsplit(request.path).path):
            return None
        return connection.respond(404, "nothing is served at this path\n")

    server = await serve(
        on_connection,
        host,
        port,
        origins=[None],
        compression=None,
        process_request=check,
        create_connection=Counted,
        server_header=None,
        open_timeout=HANDSHAKE_TIMEOUT_S,
        close_timeout=CLOSE_TIMEOUT_S,
        ping_interval=None,
        max_size=max_frame_bytes,
        max_queue=RECEIVE_QUEUE,
        logger=_LOGGER,
        ssl=ssl,
        ssl_handshake_timeout=None if ssl is None else HANDSHAKE_TIMEOUT_S,
    )
    try:
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            server.close()
            await server.wait_closed()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
