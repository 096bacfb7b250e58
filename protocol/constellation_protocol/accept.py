"""The orchestrator's end of sessions, over connections of any kind: handshake, resuming, and when a session ends."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from .errors import LinkClosed, Refused, RemoteProtocolError, TransportClosed
from .handshake import read_hello, version_refusal, write
from .link import Link
from .messages import Hello, ProtocolFault, Refuse, Welcome
from .session_link import SessionLink
from .settings import HANDSHAKE_TIMEOUT_S, SessionSettings
from .states import Role, negotiate
from .transport import NO_PEER, Peer, Transport
from .unheard import Unheard

MAX_HANDSHAKES = 256
"""How many connections may be in their opening handshake at once, and how many may be open without a hello."""

Authenticate = Callable[[Hello, Peer], Awaitable[Any]]
"""Says on what grounds a device is let in; raises `Refused`. Only who is let in on the same may resume a session."""

Admit = Callable[[Hello, Any], Awaitable[int]]
"""Gives a new session, opened on these grounds, its epoch; raises `Refused`."""

Serve = Callable[[Link], Awaitable[None]]


class Acceptor:
    """Turns connections into sessions and finds the session that a connection resumes."""

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        authenticate: Authenticate,
        admit: Admit,
        serve: Serve,
        settings: SessionSettings,
    ) -> None:
        self._tasks = tasks
        self._authenticate = authenticate
        self._admit = admit
        self._serve = serve
        self._settings = settings
        self._links: dict[str, tuple[SessionLink, Any]] = {}
        self._unheard = Unheard()
        self._handshakes = 0
        self._closing = False

    async def handle(self, transport: Transport, peer: Peer = NO_PEER) -> None:
        """Serve one connection until it is gone; a session left without one is kept for its resume window."""
        link = await self._open(transport, peer)
        if link is None:
            return
        await link.carry(transport)
        with anyio.move_on_after(self._settings.resume_window_s):
            await link.changed_from(transport)
            return
        link.end(f"no connection for {self._settings.resume_window_s:g} s")

    async def aclose(self, reason: str) -> None:
        """Admit nobody any more and say goodbye to everybody."""
        self._closing = True
        async with anyio.create_task_group() as closing:
            for link, _ in list(self._links.values()):
                closing.start_soon(link.aclose, reason)

    async def _open(self, transport: Transport, peer: Peer) -> SessionLink | None:
        answer: Refuse | ProtocolFault
        try:
            return await self._answer(await self._hear(transport), peer)
        except TransportClosed:
            transport.abort()
            return None
        except Refused as refusal:
            answer = Refuse.model_validate({"code": refusal.code, "message": refusal.message, "retry": refusal.retry})
        except RemoteProtocolError as error:
            answer = ProtocolFault(code=error.code, message=error.message)
        await _turn_away(transport, answer)
        return None

    async def _hear(self, transport: Transport) -> str | bytes:
        """Wait for the first frame. Whoever only holds connections open keeps nobody out: the oldest makes way."""
        if len(self._unheard) >= MAX_HANDSHAKES:
            self._unheard.cut_oldest()
        try:
            with self._unheard.awaited(transport), anyio.fail_after(HANDSHAKE_TIMEOUT_S):
                return await transport.receive()
        except TimeoutError as error:
            raise TransportClosed(f"no hello within {HANDSHAKE_TIMEOUT_S:g} s") from error

    async def _answer(self, frame: str | bytes, peer: Peer) -> SessionLink:
        if self._handshakes >= MAX_HANDSHAKES:
            raise Refused("limit", "too many devices are connecting at this moment", retry=True)
        self._handshakes += 1
        try:
            return await self._shake_hands(frame, peer)
        finally:
            self._handshakes -= 1

    async def _shake_hands(self, frame: str | bytes, peer: Peer) -> SessionLink:
        hello = read_hello(frame)
        if self._closing:
            raise Refused("shutting-down", "the orchestrator is stopping", retry=True)
        refusal = version_refusal(hello)
        if refusal is not None:
            raise Refused(refusal.code, refusal.message)
        grounds = await self._authenticate(hello, peer)
        if hello.session is not None:
            return self._resume(hello, hello.session, grounds)
        return await self._begin(hello, grounds)

    def _resume(self, hello: Hello, session: str, grounds: Any) -> SessionLink:
        link, before = self._links.get(session, (None, None))
        if link is not None and link.hello.device != hello.device:
            raise Refused("identity", "this session belongs to another device")
        if link is not None and before != grounds:
            raise Refused("unknown-session", "the session was opened with another token: open a new one")
        if link is not None:
            link.cut()
        if link is None or link.ended:
            raise Refused("unknown-session", "the session has ended: open a new one")
        try:
            link.attach(hello, link.welcome)
        except RemoteProtocolError as error:
            link.end(str(error))
            raise
        return link

    async def _begin(self, hello: Hello, grounds: Any) -> SessionLink:
        epoch = await self._admit(hello, grounds)
        version = negotiate(hello.versions)
        assert version is not None, "the version was checked before"
        settings = self._settings
        link = SessionLink(Role.ORCHESTRATOR, messages_per_s=settings.messages_per_s)
        welcome = Welcome(
            version=version,
            session=secrets.token_urlsafe(32),
            epoch=epoch,
            heartbeat_s=settings.heartbeat_s,
            resume_window_s=settings.resume_window_s,
            credits=settings.credits,
            limits=settings.limits,
        )
        link.attach(hello, welcome)
        self._links[welcome.session] = link, grounds
        self._tasks.start_soon(self._run, link)
        return link

    async def _run(self, link: SessionLink) -> None:
        try:
            await self._serve(link)
        except LinkClosed:
            pass  # the device is gone, which is how a session ends: nothing is left to serve
        finally:
            await link.aclose()
            del self._links[link.welcome.session]


async def _turn_away(transport: Transport, answer: Refuse | ProtocolFault) -> None:
    try:
        await transport.send(write(answer))
    except TransportClosed:
        return
    await transport.aclose()
