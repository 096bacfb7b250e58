"""A session of AIP without any I/O: bytes and instants go in, frames and messages come out.

Theory of operation. A session is an ordered exchange of messages between a device and an orchestrator that outlives
the connections which carry it. Two small machines run side by side:

- its *life*: NEW until the first handshake, OPEN, then CLOSING (we said goodbye), LEAVING (the peer did) or PARTING
  (both did, and ours may not be out yet), ENDED;
- its *wire*: DETACHED, OPENING (handshake under way), ATTACHED.

On each connection the device speaks first, with a hello; the orchestrator answers with a welcome (or a refusal,
which its shell sends before there is a session). Both name the last message they have taken in, and each side sends
again what lies beyond: the outbox keeps messages until they are acknowledged, the inbox drops what it had already.
The two together give every message exactly once and in order, however often the connection is cut.

Messages are acknowledged when the application took them, not when they arrived; a window of credits and of bytes
bounds what can be on the way. Silence is broken by pings; a peer that stays silent has lost its connection, not its
session. The goodbye is numbered like other messages, so it is acknowledged after everything that came before it,
and only then does a closing session end. Whoever breaks the rules ends the session: it would do so again after a
reconnect.

The caller feeds `receive_frame`, sends what `next_frame` yields until it yields None, and calls `tick` at `deadline`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .codec import UNSEQUENCED, Encoded, decode, encode_message, encode_text
from .errors import LocalProtocolError, Refused, RemoteProtocolError
from .heartbeat import Heartbeat
from .inbox import Inbox
from .messages import (
    Ack,
    Goodbye,
    Hello,
    Limits,
    Message,
    Ping,
    Pong,
    ProtocolFault,
    Refuse,
    Welcome,
)
from .outbox import Outbox
from .rate import Bucket
from .states import DEVICE_ONLY, LIFE, ORCHESTRATOR_ONLY, WIRE, Life, Role, Wire

_UNSEQUENCED = frozenset(UNSEQUENCED)


class Session:
    """One side of a session."""

    def __init__(self, role: Role, *, messages_per_s: float | None = None) -> None:
        self.role = role
        self._rate = Bucket(messages_per_s) if messages_per_s is not None else None
        self.life = Life.NEW
        self.wire = Wire.DETACHED
        self.end_reason = ""
        self.hello: Hello | None = None
        self.welcome: Welcome | None = None
        self._limits = Limits()
        self._outbox = Outbox(credits=0, max_bytes=0)
        self._inbox = Inbox(credits=0, max_bytes=0, max_frame_bytes=0)
        self._control: deque[Hello | Welcome | Ping | ProtocolFault] = deque()
        self._pong: Pong | None = None
        self._heartbeat: Heartbeat | None = None
        self._pings = 0
        self._acked: list[Message] = []
        ours, theirs = DEVICE_ONLY, ORCHESTRATOR_ONLY
        self._not_ours, self._not_theirs = (theirs, ours) if role is Role.DEVICE else (ours, theirs)

    # --- the handshake -----------------------------------------------------------------------------------------

    def send_hello(self, hello: Hello) -> None:
        """Begin a connection as the device; the session adds what it needs to be resumed."""
        self._expect(Role.DEVICE)
        self._step_wire("hello")
        if self.welcome is not None:
            hello = hello.model_copy(update={"session": self.welcome.session, "received": self._inbox.announce()})
        self.hello = self.hello or hello.model_copy(update={"token": None})
        self._control.append(hello)

    def send_welcome(self, hello: Hello, welcome: Welcome, now: float) -> None:
        """Answer a device's hello as the orchestrator, for a new session or to resume this one.

        Raises:
            RemoteProtocolError: the device can't go on from where it says it is.
        """
        self._expect(Role.ORCHESTRATOR)
        resumed = self.welcome is not None
        if not self._outbox.can_resume(hello.received):
            raise RemoteProtocolError("sequence", f"the device can't go on from message {hello.received}")
        self._step_wire("hello")
        welcome = welcome.model_copy(update={"resumed": resumed, "received": self._inbox.announce()})
        self.hello = self.hello or hello.model_copy(update={"token": None})
        self._control.append(welcome)
        self._attach(welcome, hello.received, now)

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        if self.hello is None or welcome.version not in self.hello.versions:
            raise RemoteProtocolError(
                "version", f"the orchestrator chose version {welcome.version}, which was not offered"
            )
        known = self.welcome
        if known is not None and (not welcome.resumed or welcome.session != known.session):
            self.end("the orchestrator no longer knows this session")
            return
        if known is None and welcome.resumed:
            raise RemoteProtocolError("handshake", "the orchestrator resumes a session that was never opened")
        if known is not None and not self._outbox.can_resume(welcome.received):
            raise RemoteProtocolError("sequence", f"the orchestrator can't go on from message {welcome.received}")
        self._attach(welcome, welcome.received, now)

    def _attach(self, welcome: Welcome, received: int, now: float) -> None:
        if self.welcome is None:
            self.welcome = welcome
            self._limits = welcome.limits
            self._outbox = Outbox(credits=welcome.credits, max_bytes=self._limits.max_unacked_bytes)
            self._inbox = Inbox(
                credits=welcome.credits,
                max_bytes=self._limits.max_unacked_bytes,
                max_frame_bytes=self._limits.max_frame_bytes,
            )
        self._step_wire("welcome")
        self._step("welcome")
        self._heartbeat = Heartbeat(welcome.heartbeat_s, now)
        self._acknowledged(received, welcome.credits)
        self._outbox.rewind()

    # --- what comes in -----------------------------------------------------------------------------------------

    def receive_frame(self, data: str | bytes, now: float) -> None:
        """Take in a frame.

        Raises:
            RemoteProtocolError: the peer broke the rules: call `fail` with it, send what is left, and disconnect.
            Refused: the orchestrator refused this device.
        """
        if self.ended:
            return
        frame = decode(data, limit=self._limits.max_frame_bytes)
        if self._rate is not None:
            self._rate.take(max(1, len(frame.messages)), now)
        if self._heartbeat is not None:
            self._heartbeat.heard(now)
        sequenced = []
        for message in frame.messages:
            kind = type(message)
            if kind in _UNSEQUENCED:
                self._control_message(message, now)
            elif kind in self._not_theirs:
                raise RemoteProtocolError("direction", f"a {message.kind!r} message is not for this side to receive")
            else:
                sequenced.append(message)
        if self.wire is not Wire.ATTACHED:
            if sequenced or self.life is not Life.ENDED:
                raise RemoteProtocolError("handshake", "a frame came before the handshake was finished")
            return
        if frame.ack is not None and frame.credits is not None:
            self._acknowledged(frame.ack, frame.credits)
        if sequenced and self._inbox.accept(frame.seq, sequenced, len(data)):
            goodbye = self._inbox.goodbye
            if goodbye is not None and not self.ended:
                self._step("their goodbye", f"the peer said goodbye: {goodbye.reason}".removesuffix(": "))

    @property
    def pause_s(self) -> float:
        """How long to wait before the next frame is read: the peer has sent more than its share.

        Never longer than the heartbeat, so that a peer which is slowed down is not taken for dead.
        """
        if self._rate is None or self.welcome is None:
            return 0.0
        return min(self._rate.owed_s, self.welcome.heartbeat_s)

    def _control_message(self, message: Message, now: float) -> None:
        match message:
            case Welcome() if self.wire is Wire.OPENING and self.role is Role.DEVICE:
                self._welcomed(message, now)
            case Refuse() if self.wire is Wire.OPENING and self.role is Role.DEVICE:
                raise Refused(message.code, message.message, retry=message.retry)
            case ProtocolFault() if self.wire is Wire.OPENING:
                raise Refused("protocol", f"{message.code}: {message.message}")
            case ProtocolFault():
                self.end(f"the peer reports that we broke the protocol ({message.code}): {message.message}")
            case Ping() if self.wire is Wire.ATTACHED:
                self._pong = Pong(nonce=message.nonce)
            case Pong() if self.wire is Wire.ATTACHED:
                pass  # that it came at all is what counts, and the heartbeat has heard it
            case Ack() if self.wire is Wire.ATTACHED:
                self._acknowledged(message.received, message.credits)
            case _:
                raise RemoteProtocolError("handshake", f"a {message.kind!r} message came out of place")

    def _acknowledged(self, received: int, credits: int) -> None:
        if received < self._outbox.acked:
            return  # overtaken by a newer one on an older connection
        self._acked.extend(
            message for message in self._outbox.acknowledge(received, credits) if not isinstance(message, Goodbye)
        )
        if self.life is Life.CLOSING and self._outbox.acked == self._outbox.last:
            self._step("goodbye acknowledged")

    # --- what the application does -----------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the session is over; `end_reason` says why."""
        return self.life is Life.ENDED

    @property
    def room(self) -> bool:
        """Whether another message may be queued now."""
        return self.life is Life.OPEN and self._outbox.room

    def encode(self, message: Message) -> Encoded:
        """Encode a message for `queue`.

        Raises:
            LocalProtocolError: it is not one for this side to send, or too large.
        """
        if type(message) in _UNSEQUENCED or type(message) in self._not_ours or isinstance(message, Goodbye):
            raise LocalProtocolError(f"a {message.kind!r} message is not for the application on this side to send")
        return encode_message(message, limit=self._limits.max_frame_bytes)

    def queue(self, encoded: Encoded) -> None:
        """Queue a message; only where there is `room`."""
        if self.life is not Life.OPEN:
            raise LocalProtocolError(f"a message was queued in a session that is {self.life.value}")
        self._outbox.queue(encoded)

    @property
    def sent(self) -> int:
        """The number of the last message that was queued."""
        return self._outbox.last

    @property
    def acknowledged(self) -> int:
        """The number of the last message that the peer has acknowledged."""
        return self._outbox.acked

    @property
    def waiting(self) -> int:
        """How many messages have come that were not taken yet."""
        return len(self._inbox)

    def take(self) -> Sequence[Message]:
        """Take all messages that have come; `settle` acknowledges them."""
        return self._inbox.take()

    def settle(self) -> bool:
        """Acknowledge what was taken so far; returns whether there is something to tell the peer."""
        self._inbox.settle()
        return self._inbox.ack_due

    def acked(self) -> Sequence[Message]:
        """Return the messages that the peer has acknowledged since the last call."""
        acked, self._acked = self._acked, []
        return acked

    def close(self, reason: str) -> None:
        """Say goodbye after everything queued; the session ends when the peer has taken it all in."""
        if self.life is Life.OPEN and self.wire is Wire.ATTACHED:
            self._step("our goodbye", reason or "closed by this side")
            goodbye = encode_message(Goodbye(reason=reason), limit=self._limits.max_frame_bytes)
            self._outbox.queue(goodbye, beyond_credit=True)
        elif not self._goodbye_under_way:
            self.end(reason or "closed by this side")

    @property
    def _goodbye_under_way(self) -> bool:
        """Whether the session is about to end by itself, with the last frames going to and fro."""
        if self.wire is not Wire.ATTACHED:
            return False
        return self.life in (Life.CLOSING, Life.PARTING) or (self.life is Life.LEAVING and self._inbox.settled)

    def end(self, reason: str) -> None:
        """End the session at once: nothing more can be resumed."""
        if not self.ended:
            self._step("end", reason)

    def fail(self, error: RemoteProtocolError) -> None:
        """End the session because the peer broke the rules, and tell it so."""
        if not self.ended:
            self._control.append(ProtocolFault(code=error.code, message=error.message))
            self.end(f"the peer broke the protocol ({error})")

    # --- the connection ----------------------------------------------------------------------------------------

    def next_frame(self) -> str | bytes | None:
        """Make the next frame to send, or None when there is nothing to say now."""
        if self._control:
            return encode_text([self._control.popleft().model_dump_json()])
        if self.wire is not Wire.ATTACHED or self.ended:
            return None
        if self._pong is not None:
            pong, self._pong = self._pong, None
            return encode_text([pong.model_dump_json()])
        credits = self._inbox.credits
        if self._outbox.pending:
            frame = self._outbox.next_frame(ack=self._inbox.taken, credits=credits)
            if isinstance(frame, str):
                self._announced()
            return frame
        if self._inbox.ack_due:
            frame = encode_text([Ack(received=self._inbox.taken, credits=credits).model_dump_json()])
            self._announced()
            return frame
        if self.life is Life.PARTING:
            self._step("all sent")
        return None

    def _announced(self) -> None:
        self._inbox.announce()
        if self.life is Life.LEAVING and self._inbox.settled:
            self._step("goodbye taken in")

    @property
    def replying(self) -> bool:
        """Whether an answer to a ping waits to be sent."""
        return self._pong is not None

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, if ever."""
        return None if self._heartbeat is None else self._heartbeat.deadline

    def tick(self, now: float) -> bool:
        """Send a sign of life where one is due; returns False when the peer has been silent for too long."""
        if self._heartbeat is None:
            return True
        if self._heartbeat.beat(now):
            self._pings += 1
            self._control.append(Ping(nonce=self._pings))
        return not self._heartbeat.dead

    def disconnected(self) -> None:
        """Note that the connection is gone; what was not acknowledged is kept for the next one.

        A session that was being closed ends: there is nothing to reconnect for.
        """
        if self.wire is not Wire.DETACHED:
            self._step_wire("lost")
        if self.life in (Life.CLOSING, Life.LEAVING, Life.PARTING):
            self.end("the connection was lost while the session was being closed")
        self._control.clear()
        self._pong = None
        self._heartbeat = None

    def _step(self, event: str, reason: str = "") -> None:
        after = LIFE.get((self.life, event))
        if after is None:
            raise LocalProtocolError(f"{event!r} can't happen in a session that is {self.life.value}")
        self.life = after
        if reason:
            self.end_reason = self.end_reason or reason

    def _step_wire(self, event: str) -> None:
        after = WIRE.get((self.wire, event))
        if after is None:
            raise LocalProtocolError(f"{event!r} can't happen on a connection that is {self.wire.value}")
        self.wire = after

    def _expect(self, role: Role) -> None:
        if self.role is not role:
            raise LocalProtocolError(f"only the {role.value} does this")
