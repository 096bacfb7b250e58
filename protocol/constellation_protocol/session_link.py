"""The link over a session: what the application uses, carried by one connection after another.

`carry` moves frames over one connection until it or the session ends; whoever makes connections (`dial`, `listen`)
calls it again for the next. Everything that decides anything is in the sans-I/O session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from .errors import LinkClosed, RemoteProtocolError, TransportClosed
from .messages import Hello, Message, Welcome
from .session import Session
from .settings import CLOSE_GRACE_S, HANDSHAKE_TIMEOUT_S
from .signal import Signal
from .states import Life, Role, Wire
from .transport import Transport

OnAcked = Callable[[Sequence[Message]], None]
"""Is told which messages the peer has acknowledged, in order, each once."""


class SessionLink:
    """One side of a session over a network; implements `Link`."""

    def __init__(self, role: Role, *, on_acked: OnAcked | None = None, messages_per_s: float | None = None) -> None:
        self._session = Session(role, messages_per_s=messages_per_s)
        self._on_acked = on_acked
        self._transport: Transport | None = None
        self._arrived = Signal()
        self._outgoing = Signal()
        self._room = Signal()
        self._changed = Signal()

    # --- Link --------------------------------------------------------------------------------------------------

    @property
    def hello(self) -> Hello:
        """What the device said of itself when the session opened, without its token."""
        assert self._session.hello is not None, "a link is handed out only after its handshake"
        return self._session.hello

    @property
    def welcome(self) -> Welcome:
        """What the orchestrator answered when the session opened."""
        assert self._session.welcome is not None, "a link is handed out only after its handshake"
        return self._session.welcome

    @property
    def connected(self) -> bool:
        """Whether a connection carries the link at this moment."""
        return self._session.wire is Wire.ATTACHED

    @property
    def ended(self) -> bool:
        """Whether the session has ended."""
        return self._session.ended

    async def send(self, *messages: Message) -> None:
        """Queue messages in order; see `Link.send`."""
        session = self._session
        for encoded in [session.encode(message) for message in messages]:
            while not session.room:
                if session.life is not Life.OPEN:
                    raise LinkClosed(session.end_reason)
                await self._room.wait()
            session.queue(encoded)
            self._outgoing.notify()

    async def receive(self) -> Sequence[Message]:
        """Wait for messages; see `Link.receive`."""
        session = self._session
        if session.settle():
            self._outgoing.notify()
        while not session.waiting:
            if session.life in (Life.LEAVING, Life.ENDED):
                raise LinkClosed(session.end_reason)
            await self._arrived.wait()
            # What came meanwhile may be the goodbye alone, which nobody takes.
            if session.settle():
                self._outgoing.notify()
        return session.take()

    async def aclose(self, reason: str = "") -> None:
        """Say goodbye and end the session; see `Link.aclose`."""
        self._session.close(reason)
        self._wake()
        with anyio.move_on_after(CLOSE_GRACE_S, shield=True):
            while not self.ended:
                await self._changed.wait()
        if not self.ended:
            self.end(reason)
            self.cut()

    # --- for whoever makes connections ---------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """End the session at once, without a goodbye."""
        self._session.end(reason)
        self._wake()

    async def open(self, transport: Transport, hello: Hello) -> None:
        """Do the device's part of the handshake on a new connection.

        Raises:
            Refused: the orchestrator refused this device, or can't make sense of it.
            RemoteProtocolError: the orchestrator broke the rules.
            TransportClosed: the connection was lost, or the orchestrator did not answer in time.
        """
        session = self._session
        session.send_hello(hello)
        self._transport = transport
        try:
            with anyio.fail_after(HANDSHAKE_TIMEOUT_S):
                await self._flush(transport)
                session.receive_frame(await transport.receive(), anyio.current_time())
        except TimeoutError as error:
            raise TransportClosed(f"no answer to the hello within {HANDSHAKE_TIMEOUT_S:g} s") from error
        finally:
            if session.wire is not Wire.ATTACHED:
                self._detach(transport)
        self._after_arrival()

    def cut(self) -> None:
        """Drop the connection that carries the link, if one does."""
        if self._transport is not None:
            self._detach(self._transport)

    def attach(self, hello: Hello, welcome: Welcome) -> None:
        """Do the orchestrator's part of the handshake, for a link that no connection carries.

        Raises:
            RemoteProtocolError: the device can't go on from where it says it is.
        """
        self._session.send_welcome(hello, welcome, anyio.current_time())
        self._wake()

    async def carry(self, transport: Transport) -> None:
        """Carry the link on this connection until the connection is gone or the session has ended."""
        self._transport = transport
        self._wake()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, transport, tasks.cancel_scope)
                tasks.start_soon(self._beat, transport)
                await self._read(transport, tasks.cancel_scope)
        finally:
            self._detach(transport)

    async def wait_ended(self, timeout_s: float) -> None:
        """Wait until the session has ended, or for this long."""
        with anyio.move_on_after(timeout_s):
            while not self.ended:
                await self._changed.wait()

    async def changed_from(self, transport: Transport) -> None:
        """Wait until the session has ended or another connection than this one carries it."""
        while not self.ended and self._transport in (None, transport):
            await self._changed.wait()

    # --- the tasks of one connection -----------------------------------------------------------------------------

    async def _read(self, transport: Transport, scope: anyio.CancelScope) -> None:
        session = self._session
        try:
            while True:
                frame = await transport.receive()
                if self._transport is not transport:
                    scope.cancel()  # another connection has taken over
                    return
                session.receive_frame(frame, anyio.current_time())
                self._after_arrival()
                if pause_s := session.pause_s:
                    await anyio.sleep(pause_s)  # meanwhile the transport fills up, and the peer has to wait
        except TransportClosed:
            scope.cancel()
        except RemoteProtocolError as error:
            # The writer tells the peer, and closes the connection.
            session.fail(error)
            self._wake()

    async def _write(self, transport: Transport, scope: anyio.CancelScope) -> None:
        try:
            while True:
                await self._flush(transport)
                if self.ended:
                    self._wake()
                    await transport.aclose()
                    break
                await self._outgoing.wait()
        except TransportClosed:
            pass
        scope.cancel()

    async def _flush(self, transport: Transport) -> None:
        # A connection that was replaced must not take frames which belong on its successor.
        while self._transport is transport and (frame := self._session.next_frame()) is not None:
            await transport.send(frame)

    async def _beat(self, transport: Transport) -> None:
        while self._transport is transport and (deadline := self._session.deadline) is not None:
            await anyio.sleep_until(deadline)
            if not self._session.tick(anyio.current_time()):
                transport.abort()
                return
            self._outgoing.notify()

    def _after_arrival(self) -> None:
        acked = self._session.acked()
        if acked and self._on_acked is not None:
            self._on_acked(acked)
        if self._session.waiting:
            self._arrived.notify()
        self._room.notify()
        if self._session.life is not Life.OPEN or self._session.replying:
            self._wake()

    def _detach(self, transport: Transport) -> None:
        transport.abort()
        if self._transport is transport:
            self._transport = None
            self._session.disconnected()
            self._wake()

    def _wake(self) -> None:
        """Let everybody look at the session again."""
        for signal in (self._arrived, self._outgoing, self._room, self._changed):
            signal.notify()
