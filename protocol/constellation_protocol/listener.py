"""The orchestrator's listening socket: devices at `/aip`, and other paths for whoever wants raw transports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

import anyio

from .accept import Acceptor, Admit, Authenticate, Serve
from .settings import CLOSE_GRACE_S, ConnectionLimits, SessionSettings
from .tasks import background
from .transport import Peer, Transport

DEVICE_PATH = "/aip"
LOOPBACK = "127.0.0.1"

PathHandler = Callable[[Transport, str, Peer], Awaitable[None]]
"""Serves a connection at a path of its own, until it returns."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An open listening socket: where devices dial."""

    url: str
    host: str
    port: int


@asynccontextmanager
async def listen(
    host: str = LOOPBACK,
    port: int = 0,
    *,
    authenticate: Authenticate,
    admit: Admit,
    serve: Serve,
    settings: SessionSettings | None = None,
    ssl: SSLContext | None = None,
    connections: ConnectionLimits | None = None,
    paths: Mapping[str, PathHandler] | None = None,
) -> AsyncIterator[Listener]:
    """Listen for devices; leaving the context says goodbye to them and closes everything.

    What the callbacks raise, other than what is named here, stops the listener.

    Args:
        host: The address to listen on; only this machine by default.
        port: The port, 0 for any free one.
        authenticate: Called with the hello of every connection, and what is known of its other end; returns on what
            grounds it is let in, or raises `Refused` to turn it away. A session is resumed on the same grounds only.
        admit: Called once for each new session, with these grounds; returns its epoch, or raises `Refused`.
        serve: Runs for each new session until it returns; the session is closed after it. `LinkClosed` may pass.
        settings: The rules of the sessions.
        ssl: TLS settings; without them the connections are not encrypted.
        connections: How many connections may be open at once.
        paths: Handlers of other URL paths; each gets the raw transport, which is closed when it returns.

    Raises:
        OSError: the address can't be listened on.
    """
    from .websocket import WebSocketTransport, serve_websockets

    settings = settings or SessionSettings()
    handlers: dict[str, PathHandler] = dict(paths or {})
    async with background() as tasks:
        acceptor = Acceptor(tasks, authenticate=authenticate, admit=admit, serve=serve, settings=settings)

        async def devices(transport: Transport, path: str, peer: Peer) -> None:
            await acceptor.handle(transport, peer)

        handlers[DEVICE_PATH] = devices

        async def handle(transport: WebSocketTransport, path: str) -> None:
            # It runs among the listener's own tasks, so that its errors come out and it ends with the listener.
            done = anyio.Event()

            async def run() -> None:
                try:
                    await handlers[path](transport, path, transport.peer)
                finally:
                    done.set()

            tasks.start_soon(run)
            await done.wait()

        server = serve_websockets(
            handle,
            host=host,
            port=port,
            known_path=handlers.__contains__,
            max_frame_bytes=settings.limits.max_frame_bytes,
            ssl=ssl,
            limits=connections or ConnectionLimits(),
        )
        async with server as listening:
            bound_host, bound_port = listening.sockets[0].getsockname()[:2]
            shown = f"[{bound_host}]" if ":" in bound_host else bound_host
            url = f"{'ws' if ssl is None else 'wss'}://{shown}:{bound_port}{DEVICE_PATH}"
            try:
                yield Listener(url, bound_host, bound_port)
            finally:
                with anyio.move_on_after(CLOSE_GRACE_S, shield=True):
                    await acceptor.aclose("the orchestrator is stopping")
                tasks.cancel_scope.cancel()
