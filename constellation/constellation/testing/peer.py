"""One side of an AIP session in the simulated world: the real sans-I/O session, and what little a shell does for it.

It does what `constellation_protocol.session_link` does with tasks and sockets: frames in and out, heartbeats, room for
what waits to be sent, and messages handed to the application batch by batch, each acknowledged when it is settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from constellation_protocol.errors import RemoteProtocolError
from constellation_protocol.messages import Hello, Message, Welcome
from constellation_protocol.session import Session
from constellation_protocol.states import Life, Role, Wire

from .clock import Alarm
from .faults import Scene
from .network import End, Frame
from .watch import Watch


class Peer:
    """A session with the connection that carries it.

    Attributes:
        session: The session.
        end: The connection's end on this side; None while nothing carries the session.
        on_messages: Is given a batch of messages; `settle` ends it and brings the next.
        on_acked: Is told what the other side has taken in.
        on_lost: Is told that the connection is gone while the session goes on.
        on_ended: Is told, once, that nothing comes any more, and why.
        wakes_at: Until when the process that this side lives in stands still.
    """

    def __init__(self, scene: Scene, watch: Watch, role: Role) -> None:
        self.session = Session(role)
        self._watch = watch
        self.wakes_at = 0.0
        self.end: End | None = None
        self.on_messages: Callable[[Sequence[Message]], None] = _ignore
        self.on_acked: Callable[[Sequence[Message]], None] = _ignore
        self.on_lost: Callable[[], None] = lambda: None
        self.on_ended: Callable[[str], None] = lambda reason: None
        self._scene = scene
        self._outbox: deque[Message] = deque()
        self._beat: Alarm | None = None
        self._in_hand = False
        self._told_end = False

    @property
    def connected(self) -> bool:
        """Whether a connection carries the session at this moment."""
        return self.session.wire is Wire.ATTACHED

    # --- connections -------------------------------------------------------------------------------------------------

    def open(self, end: End, hello: Hello) -> None:
        """Begin a connection as the device."""
        self._take_end(end)
        self.session.send_hello(hello)
        self._flush()

    def attach(self, end: End, hello: Hello, welcome: Welcome) -> None:
        """Answer a device's hello as the orchestrator; raises RemoteProtocolError when it can't go on from there."""
        self.session.send_welcome(hello, welcome, self._scene.clock.now)
        self._take_end(end)
        self._arm()
        self._after()

    def _take_end(self, end: End) -> None:
        self.end = end
        end.on_frame = lambda frame: self._received(end, frame)
        end.on_lost = lambda: self._detach(end)

    def cut(self) -> None:
        """Drop the connection that carries the session, if one does."""
        if self.end is not None:
            self.end.abort()
            self._detach(self.end)

    def _detach(self, end: End) -> None:
        if self.end is not end:
            return
        self.end = None
        self.session.disconnected()
        if self._beat is not None:
            self._beat.cancel()
        if not self.session.ended:
            self.on_lost()
        self._after()

    # --- frames ------------------------------------------------------------------------------------------------------

    def _received(self, end: End, frame: Frame) -> None:
        if self.end is not end:
            return  # another connection has taken over
        try:
            self.session.receive_frame(frame, self._scene.clock.now)
        except RemoteProtocolError as error:
            self._scene.trace.say(f"{self.session.role.value}: {error.code}: {error.message}")
            self.session.fail(error)
        self._arm()
        self._after()

    def _after(self) -> None:
        """See to everything that may follow from a change of the session."""
        acked = self.session.acked()
        if acked:
            self.on_acked(acked)
        self._deliver()
        self._flush()

    def _deliver(self) -> None:
        session = self.session
        while not self._in_hand and session.waiting:
            self._in_hand = True
            messages = session.take()
            self._watch.received(session, messages)
            self.on_messages(messages)
        if not self._in_hand and not session.waiting and session.life in (Life.LEAVING, Life.ENDED):
            session.settle()
            if not self._told_end:
                self._told_end = True
                self.on_ended(session.end_reason)

    def settle(self) -> None:
        """Acknowledge the batch in hand: the application has done with it what it must."""
        self._in_hand = False
        self.session.settle()
        self._after()

    def post(self, *messages: Message) -> None:
        """Send messages as soon as there is room for them."""
        self._outbox.extend(messages)
        self._flush()

    def close(self, reason: str) -> None:
        """Say goodbye, or end the session at once where nobody would hear it."""
        self.session.close(reason)
        self._after()

    def finish(self, reason: str) -> None:
        """End the session at once."""
        self.session.end(reason)
        self._after()

    def _flush(self) -> None:
        session = self.session
        while self._outbox and session.room:
            message = self._outbox.popleft()
            session.queue(session.encode(message))
            self._watch.queued(session, message)
        end = self.end
        if end is None:
            return
        while (frame := session.next_frame()) is not None:
            end.send(frame)
        if session.ended:
            self.end = None
            end.close()
            session.disconnected()
            if self._beat is not None:
                self._beat.cancel()
            self._deliver()

    # --- heartbeats --------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Have the session looked at when it wants to be; an alarm that rings too early is set anew."""
        deadline = self.session.deadline
        if deadline is not None and (self._beat is None or not self._beat.pending):
            self._beat = self._scene.clock.at(deadline, self._rang)

    def _rang(self) -> None:
        deadline = self.session.deadline
        if self.end is None or deadline is None:
            return
        if self.wakes_at > self._scene.clock.now:
            self._beat = self._scene.clock.at(self.wakes_at, self._rang)
            return
        if self._scene.clock.now >= deadline and not self.session.tick(self._scene.clock.now):
            self._scene.trace.say(f"{self.session.role.value}: the peer is silent, so the connection is given up")
            self.cut()
            return
        self._arm()
        self._flush()


def _ignore(messages: Sequence[Message]) -> None:
    """Nobody wants to know."""
