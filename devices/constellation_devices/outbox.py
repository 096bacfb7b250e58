"""What the device has to say in one session, sent in batches as fast as the link takes it.

Answers and results wait here in order; they are few, because no more attempts run than there are slots. Progress
waits in its attempt's own bounded buffer and is merged there until the link takes it. Both go out in one send,
progress first, so that an attempt's last lines come before its result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from constellation_protocol.link import Link
from constellation_protocol.messages import Message
from constellation_protocol.signal import Signal

from .attempts import Attempt


class Outbox:
    """Everything that waits to be sent in one session."""

    def __init__(self, link: Link, *, sent: Callable[[Sequence[Message]], None] | None = None) -> None:
        """Send over `link`; `sent` is told of each batch that the link has taken."""
        self._link = link
        self._sent = sent
        self.epoch = link.welcome.epoch
        self._messages: deque[Message] = deque()
        self._reporting: dict[str, Attempt] = {}
        self._filled = Signal()

    def put(self, *messages: Message) -> None:
        """Send these messages after those that wait."""
        self._messages.extend(messages)
        self._filled.notify()

    def report(self, attempt: Attempt) -> None:
        """Send what the attempt has to report, once the link takes it."""
        self._reporting[attempt.id] = attempt
        self._filled.notify()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            LinkClosed: the session has ended.
        """
        while True:
            while not (self._messages or self._reporting):
                await self._filled.wait()
            batch: list[Message] = []
            for attempt in self._reporting.values():
                batch.extend(attempt.progress.take(attempt.id, self.epoch))
            self._reporting.clear()
            batch.extend(self._messages)
            self._messages.clear()
            if batch:
                await self._link.send(*batch)
                if self._sent is not None:
                    self._sent(batch)
