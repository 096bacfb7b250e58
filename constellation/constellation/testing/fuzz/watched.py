"""A session that is watched while a peer does with it what it likes: what holds after every step, whatever has come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from constellation_protocol.codec import decode
from constellation_protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from constellation_protocol.messages import MAX_FRAME_BYTES, Hello, ProtocolFault, Welcome
from constellation_protocol.session import Session
from constellation_protocol.states import Life, Role, Wire

from . import corpus
from .breach import Breach, check_error

MOST_ANSWERS = 64
"""More frames than a session has to say at once, with credits as few as there are here."""


class WatchedSession:
    """One side of a session, and what must hold for it.

    Attributes:
        session: The session.
        over: Whether it has ended: nothing that comes can change it any more.
        fate: What has become of it, in a word.
    """

    def __init__(self, role: Role, rules: Welcome) -> None:
        self.session = Session(role)
        self.over = False
        self.fate = "open"
        self._rules = rules
        self._now = 0.0
        self._held = 0
        self._handed = 0
        self._queued = 0
        self._said: list[str | bytes] = []

    # --- steps -----------------------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Begin a connection as the device."""
        if not self.over and self.session.wire is Wire.DETACHED:
            self.session.send_hello(corpus.HELLO)
            self._speak()

    def hello(self, received: int) -> None:
        """Answer a device that has dialled and says that it has received so many messages."""
        if self.over or self.session.wire is not Wire.DETACHED:
            return
        try:
            self.session.send_welcome(Hello(device="shed", received=received), self._rules, self._now)
        except RemoteProtocolError as error:
            self._failed(error)
        self._speak()

    def receive(self, frame: str | bytes) -> None:
        """Take a frame in."""
        opening = self.session.wire is Wire.OPENING
        before = self.session.waiting
        try:
            self.session.receive_frame(frame, self._now)
        except RemoteProtocolError as error:
            self._failed(error)
        except Refused:
            if not (opening and self.session.role is Role.DEVICE):
                raise Breach("a refusal was taken after the opening") from None
            self.session.end("refused")
            self.fate = "refused"
        else:
            if self.session.waiting > before:
                self._held += len(frame)
        self._speak()

    def take(self) -> None:
        """Take what has come, as the application does."""
        self.session.take()
        self._handed, self._held = self._handed + self._held, 0
        self._speak()

    def settle(self) -> None:
        """Have what was taken acknowledged."""
        self.session.settle()
        self._handed = 0
        self._speak()

    def send(self, kind: int, count: int) -> None:
        """Send some messages, as far as there is room."""
        messages = corpus.OF_ROLE[self.session.role]
        for number in range(count):
            if self.session.room:
                self.session.queue(self.session.encode(messages[(kind + number) % len(messages)]))
                self._queued += 1
        self._speak()

    def tick(self, passes_s: float) -> None:
        """Let time pass."""
        self._now += passes_s
        if not self.session.tick(self._now):
            self.session.disconnected()
        self._speak()

    def cut(self) -> None:
        """Lose the connection."""
        self.session.disconnected()
        self._speak()

    def close(self) -> None:
        """Say goodbye."""
        self.session.close("enough")
        self._speak()

    # --- what must hold ----------------------------------------------------------------------------------------------

    def said(self) -> Sequence[str | bytes]:
        """The frames that it has sent since the last call."""
        said, self._said = self._said, []
        return said

    def _speak(self) -> None:
        """Let it say all that it has to say, and see that it is little, in order, and keeps within its limits."""
        session = self.session
        frames: list[str | bytes] = []
        while (frame := session.next_frame()) is not None:
            decode(frame, limit=MAX_FRAME_BYTES)
            frames.append(frame)
            if len(frames) > MOST_ANSWERS:
                raise Breach(f"it has more than {MOST_ANSWERS} frames to say at once")
        self._said += frames
        session.acked()
        rules = session.welcome or self._rules  # which a spoilt welcome may have changed
        limits, credits = rules.limits, rules.credits
        if session.waiting > credits:
            raise Breach(f"{session.waiting} messages wait, and there was credit for {credits}")
        most = 2 * limits.max_unacked_bytes + 2 * limits.max_frame_bytes
        if self._held + self._handed > most:
            raise Breach(f"{self._held + self._handed} bytes are held, and {most} are allowed")
        if session.sent > self._queued + 1 or session.acknowledged > session.sent:
            raise Breach(
                f"{session.sent} messages count as sent, {session.acknowledged} as received, of {self._queued}"
            )
        if session.ended:
            self.over = True
            if self.fate == "open":
                self.fate = "ended"

    def _failed(self, error: RemoteProtocolError) -> None:
        """The peer broke the rules: it has to be told, once, and nothing may come of what it says later."""
        check_error(error)
        session = self.session
        if session.ended:
            return  # by an earlier message of the same frame, in which the peer itself gave up
        session.fail(error)
        self.fate = error.code
        told = session.next_frame()
        fault = decode(told, limit=MAX_FRAME_BYTES).messages[0] if told is not None else None
        if not isinstance(fault, ProtocolFault) or fault.code != error.code:
            raise Breach(f"the peer is told {told!r:.200} where the error {error.code!r} was due")
        waiting = session.waiting
        with suppress(RemoteProtocolError):
            session.receive_frame("[]", self._now)
        if session.life is not Life.ENDED or session.next_frame() is not None or session.waiting != waiting:
            raise Breach("a session goes on after the peer broke the rules")
        try:
            session.queue(session.encode(corpus.SHARED[0]))
        except LocalProtocolError:
            return
        raise Breach("a session that has ended takes messages to send")
