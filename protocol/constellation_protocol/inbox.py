"""The receiving half of a session: each message once, in order, and acknowledged only when it was taken.

    arrived ──take──> handed out ──settle──> taken (acknowledged)

The application takes messages, stores what it must, and asks for more: that settles them. What was handed out but
not settled when everything stops is sent again to whoever resumes, so nothing is lost between the wire and a disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import RemoteProtocolError
from .messages import Goodbye, Message


class Inbox:
    """Messages from the peer, in order."""

    def __init__(self, *, credits: int, max_bytes: int, max_frame_bytes: int) -> None:
        self._messages: list[Message] = []
        self._arrived = 0
        self._handed = 0
        self._taken = 0
        self._announced = 0
        self._credits = credits
        self._bytes_arrived = 0
        self._bytes_handed = 0
        # The sender counts messages, this side whole frames, and the last message may overshoot: hence the slack.
        self._max_bytes = 2 * max_bytes + max_frame_bytes
        self._goodbye: Goodbye | None = None

    def __len__(self) -> int:
        """How many messages wait to be taken."""
        return len(self._messages)

    @property
    def credits(self) -> int:
        """How many messages beyond the acknowledged ones the peer may send."""
        return self._credits

    @property
    def taken(self) -> int:
        """The number of the last message that was taken in."""
        return self._taken

    @property
    def goodbye(self) -> Goodbye | None:
        """The peer's goodbye, once it has come; nothing follows it."""
        return self._goodbye

    @property
    def settled(self) -> bool:
        """Whether everything that arrived was taken in."""
        return self._taken == self._arrived

    @property
    def ack_due(self) -> bool:
        """Whether more was taken in than the peer has been told."""
        return self._taken > self._announced

    def accept(self, seq: int, messages: Sequence[Message], size: int) -> bool:
        """Take in the sequenced messages of one frame of `size` bytes and drop those that came before.

        Returns:
            Whether any of them is new.

        Raises:
            RemoteProtocolError: one is missing before them, or there is no credit for them.
        """
        known = self._arrived + 1 - seq
        if known < 0:
            raise RemoteProtocolError("sequence", f"message {seq} came where {self._arrived + 1} was expected")
        new = messages[known:]
        if not new:
            return False
        if self._goodbye is not None or Goodbye in map(type, new[:-1]):
            raise RemoteProtocolError("sequence", "a message came after the goodbye")
        self._arrived += len(new)
        if isinstance(new[-1], Goodbye):
            self._goodbye = new[-1]
            new = new[:-1]
        if self._taken + self._credits < self._arrived - (self._goodbye is not None):
            raise RemoteProtocolError(
                "credits", f"more than the {self._credits} messages came that there is credit for"
            )
        self._bytes_arrived += size
        if self._bytes_arrived + self._bytes_handed > self._max_bytes:
            raise RemoteProtocolError("credits", "more unacknowledged bytes came than the session's limit allows")
        self._messages.extend(new)
        return True

    def take(self) -> Sequence[Message]:
        """Hand out everything that has arrived."""
        messages, self._messages = self._messages, []
        self._handed = self._arrived
        self._bytes_handed += self._bytes_arrived
        self._bytes_arrived = 0
        return messages

    def settle(self) -> None:
        """Count what was handed out as taken in; with nothing left to hand out, that includes the goodbye."""
        self._taken = self._handed if self._messages else self._arrived
        self._bytes_handed = 0

    def announce(self) -> int:
        """Return the number to acknowledge, which the peer is told now."""
        self._announced = self._taken
        return self._taken
