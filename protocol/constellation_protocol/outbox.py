"""The sending half of a session: numbers messages and keeps them until the peer has acknowledged them.

    queued ──> unsent ──frame──> unacked ──ack──> gone
                  ^                 │
                  └─── new connection: sent again

Both the number and the bytes of what is kept are bounded: by the peer's credits, and by the session's limit on
unacknowledged bytes. Whoever queues asks for `room` first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .codec import Encoded, encode_text, number_chunk
from .errors import LocalProtocolError, RemoteProtocolError
from .messages import Message

BATCH_BYTES = 64 * 1024
"""A frame takes no further message beyond this, so that large ones do not delay acks and heartbeats."""

BATCH_MESSAGES = 256


class Outbox:
    """Messages on their way to the peer, in order."""

    def __init__(self, *, credits: int, max_bytes: int) -> None:
        self._unsent: deque[Encoded] = deque()
        self._unacked: deque[Encoded] = deque()
        self._acked = 0
        self._last_sent = 0
        self._credit_limit = credits
        self._bytes = 0
        self._max_bytes = max_bytes

    @property
    def acked(self) -> int:
        """The number of the last message that the peer has acknowledged."""
        return self._acked

    @property
    def last(self) -> int:
        """The number of the last message queued."""
        return self._acked + len(self._unacked) + len(self._unsent)

    @property
    def room(self) -> bool:
        """Whether one more message may be queued."""
        return self.last < self._credit_limit and self._bytes < self._max_bytes

    def queue(self, encoded: Encoded, *, beyond_credit: bool = False) -> None:
        """Give a message the next number; only the goodbye, which nothing follows, may go beyond the credit.

        Raises:
            LocalProtocolError: there is no room.
        """
        if not beyond_credit and not self.room:
            raise LocalProtocolError("the peer has given no credit for another message: wait until there is room")
        self._unsent.append(encoded)
        self._bytes += encoded.size

    def acknowledge(self, received: int, credits: int) -> Sequence[Message]:
        """Forget what the peer has taken in and return it.

        Raises:
            RemoteProtocolError: the peer acknowledges what was never sent to it.
        """
        if received > self._last_sent:
            raise RemoteProtocolError(
                "sequence", f"message {received} was acknowledged, but {self._last_sent} was the last sent"
            )
        # A credit once given is not taken back: messages may be under way on the strength of it.
        self._credit_limit = max(self._credit_limit, received + credits)
        taken = []
        while self._acked < received:
            # What was sent on an earlier connection may be acknowledged before it is sent again on this one.
            encoded = (self._unacked or self._unsent).popleft()
            self._bytes -= encoded.size
            self._acked += 1
            taken.append(encoded.message)
        return taken

    def rewind(self) -> None:
        """Make everything unacknowledged be sent again, on a new connection."""
        self._unsent.extendleft(reversed(self._unacked))
        self._unacked.clear()

    def can_resume(self, received: int) -> bool:
        """Whether a peer that has taken in this many messages can go on from there."""
        return self._acked <= received <= self._last_sent

    @property
    def pending(self) -> bool:
        """Whether something is waiting to be sent."""
        return bool(self._unsent)

    def next_frame(self, *, ack: int | None, credits: int) -> str | bytes:
        """Make a frame of what waits: a batch of messages with `ack` in its head, or one piece of a file."""
        seq = self._acked + len(self._unacked) + 1
        first = self._unsent[0].wire
        if isinstance(first, bytes):
            self._sending()
            return number_chunk(first, seq)
        parts: list[str] = []
        size = 0
        while self._unsent and len(parts) < BATCH_MESSAGES:
            encoded = self._unsent[0]
            if not isinstance(encoded.wire, str) or (parts and size + encoded.size > BATCH_BYTES):
                break
            parts.append(encoded.wire)
            size += encoded.size + 1
            self._sending()
        return encode_text(parts, seq=seq, ack=ack, credits=credits)

    def _sending(self) -> None:
        self._unacked.append(self._unsent.popleft())
        self._last_sent = max(self._last_sent, self._acked + len(self._unacked))
