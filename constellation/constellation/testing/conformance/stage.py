"""What a check plays on: a loopback socket that the device dials, and the device itself, started and killed at will."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from constellation_protocol.handshake import write
from constellation_protocol.listener import DEVICE_PATH, LOOPBACK
from constellation_protocol.messages import MAX_FRAME_BYTES, Hello, Refuse, Welcome
from constellation_protocol.settings import ConnectionLimits
from constellation_protocol.states import negotiate
from constellation_protocol.websocket import WebSocketTransport, serve_websockets

from .connection import Connection, FrameLog
from .errors import CheckFailed
from .peer import Peer

DEVICE_NAME = "under-test"
"""What the device is called while it is checked."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a device has to be told to be checked.

    Attributes:
        url: The WebSocket URL to dial.
        name: What it has to call itself.
        token: The token to show.
        state_dir: A directory of its own, in which it finds again what it kept before it was killed.
    """

    url: str
    name: str
    token: str = field(repr=False)
    state_dir: Path


class RunningDevice(Protocol):
    """A device that was started for a check."""

    async def kill(self) -> None:
        """End it at once, without any warning, and wait until it is gone."""


Start = Callable[[Invitation], AbstractAsyncContextManager[RunningDevice]]
"""Starts the device; leaving the context stops it."""


class Stage:
    """The surroundings of one check."""

    def __init__(
        self,
        invitation: Invitation,
        dialled: MemoryObjectReceiveStream[tuple[WebSocketTransport, anyio.Event]],
        log: FrameLog,
        *,
        start: Start | None,
        patience_s: float,
    ) -> None:
        """Set the stage; `start` is None for a device that somebody else starts."""
        self.invitation = invitation
        self.log = log
        self.patience_s = patience_s
        self._dialled = dialled
        self._start = start
        self._numbers = itertools.count(secrets.randbelow(10**9) * 1000)
        self._epochs = itertools.count(1)
        self._session_names = itertools.count(1)
        self._connections: list[Connection] = []

    # --- the device ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def device(self) -> AsyncIterator[RunningDevice | None]:
        """Start the device, where it is for the kit to start; leaving the context stops it."""
        if self._start is None:
            yield None
        else:
            async with self._start(self.invitation) as running:
                try:
                    yield running
                finally:  # a device that is told to stop would wait for the answer to its goodbye
                    for connection in self._connections:
                        connection.release()

    async def connection(self, expected: str = "the device to dial") -> Connection:
        """Wait until the device dials.

        Raises:
            CheckFailed: it does not.
        """
        try:
            with anyio.fail_after(self.patience_s):
                transport, done = await self._dialled.receive()
        except TimeoutError:
            raise CheckFailed(
                f"no connection came for {self.patience_s:g} s while the kit waited for {expected}"
            ) from None
        self.log.note("the device connected")
        connection = Connection(transport, self.log, self.patience_s, done.set)
        self._connections.append(connection)
        return connection

    async def dials_within(self, patience_s: float) -> bool:
        """Whether the device dials within this time, in seconds."""
        with anyio.move_on_after(patience_s):
            await self._dialled.receive()
            self.log.note("the device connected")
            return True
        return False

    async def hello(self, expected: str = "the device to dial") -> tuple[Connection, Hello]:
        """Wait until the device dials and says a hello that would be let in.

        Raises:
            CheckFailed: it does not dial, or says another hello.
        """
        connection = await self.connection(expected)
        hello = await connection.hello()
        if hello.device != self.invitation.name:
            raise CheckFailed(f"the hello is of {hello.device!r}; the device was told to be {self.invitation.name!r}")
        if hello.token != self.invitation.token:
            raise CheckFailed("the hello holds another token than the device was given")
        if negotiate(hello.versions) is None:
            raise CheckFailed(f"the hello offers the versions {list(hello.versions)}; 1 must be among them")
        return connection, hello

    async def refuse(self, connection: Connection, refusal: Refuse) -> None:
        """Refuse the device, as an orchestrator does."""
        await connection.send(write(refusal))
        await connection.close()

    def welcome(self, **rules: Any) -> Welcome:
        """Make the welcome of a new session, with these rules."""
        name = f"{secrets.token_urlsafe(24)}-{next(self._session_names)}"
        return Welcome(session=name, epoch=next(self._epochs), **rules)

    async def session(self, **rules: Any) -> tuple[Peer, Hello]:
        """Wait until the device dials to open a session, and open it with these rules.

        Raises:
            CheckFailed: it does not dial, or its hello can't open one.
        """
        connection, hello = await self.hello("the device to dial for a new session")
        if hello.session is not None:
            # It may be from before this check: it is told what any orchestrator would tell it.
            await self.refuse(connection, Refuse(code="unknown-session", message="the session has ended"))
            connection, hello = await self.hello("the device to dial for a new session")
            if hello.session is not None:
                raise CheckFailed("after 'unknown-session' the hello must not name a session")
        peer = Peer(connection, self.welcome(**rules), self._numbers)
        await peer.open(hello)
        return peer, hello

    @asynccontextmanager
    async def opened(self, **rules: Any) -> AsyncIterator[Peer]:
        """Start the device and open a session with it under these rules.

        Raises:
            CheckFailed: see `session`.
        """
        async with self.device():
            peer, _ = await self.session(**rules)
            yield peer

    async def resumed(self, peer: Peer) -> Hello:
        """Cut the connection of a session, and let the device resume it.

        Raises:
            CheckFailed: it does not dial again, or can't go on.
        """
        peer.cut()
        connection, hello = await self.hello("the device to dial again")
        await peer.resume(connection, hello)
        return hello


@asynccontextmanager
async def stage(
    *, token: str, port: int, state_dir: Path, start: Start | None, patience_s: float
) -> AsyncIterator[Stage]:
    """Open the socket that the device dials; leaving the context closes it, and every connection."""
    send, receive = anyio.create_memory_object_stream[tuple[WebSocketTransport, anyio.Event]](100)

    async def handle(transport: WebSocketTransport, path: str) -> None:
        done = anyio.Event()
        open_until.append(done)
        send.send_nowait((transport, done))
        await done.wait()
        transport.abort()

    open_until: list[anyio.Event] = []
    server = serve_websockets(
        handle,
        host=LOOPBACK,
        port=port,
        known_path=DEVICE_PATH.__eq__,
        max_frame_bytes=MAX_FRAME_BYTES,
        ssl=None,
        limits=ConnectionLimits(),
    )
    with send, receive:
        async with server as listening:
            bound = listening.sockets[0].getsockname()[1]
            invitation = Invitation(f"ws://{LOOPBACK}:{bound}{DEVICE_PATH}", DEVICE_NAME, token, state_dir)
            try:
                yield Stage(invitation, receive, FrameLog(token=token), start=start, patience_s=patience_s)
            finally:
                for done in open_until:
                    done.set()
