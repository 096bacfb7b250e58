"""What the device has to say in one session, sent in batches as fast as the link takes it.

Answers and results wait here in order; they are few, because no more attempts run than there are slots. Progress
waits in its attempt's own bounded buffer and is merged there until the link takes it. Both go out in one send,
progress first, so that an attempt's last lines come before its result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from constellation_protocol.errors import LocalProtocolError
from constellation_protocol.link import Link
from constellation_protocol.messages import ErrorInfo, Message, Result
from constellation_protocol.signal import Signal

from .attempts import Attempt
from .outputs import INVALID_OUTPUT

log = logging.getLogger("constellation.device")


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
                try:
                    await self._link.send(*batch)
                except LocalProtocolError:
                    await self._send_what_can_be_sent(batch)
                if self._sent is not None:
                    self._sent(batch)

    async def _send_what_can_be_sent(self, batch: Sequence[Message]) -> None:
        """Send a batch that holds a message which the link can't take; none of it has been sent."""
        for message in batch:
            try:
                await self._link.send(message)
            except LocalProtocolError as error:
                log.warning("a message of kind %s could not be sent: %s", message.kind, error)
                if isinstance(message, Result):
                    failure = ErrorInfo(type=INVALID_OUTPUT, message=f"the result could not be sent: {error}")
                    await self._link.send(replace(message, status="failed", output=None, error=failure))
