"""A link: a live, ordered exchange of messages with one peer, whatever carries it.

The orchestrator and the device agent are written against this interface alone. A link over a network outlives
its connections: while a cut is being mended it buffers, and it closes only when the session has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .messages import Hello, Message, Welcome


class Link(Protocol):
    """One side of a session. Only messages above the session's own traffic pass through it."""

    @property
    def hello(self) -> Hello:
        """What the device said of itself when the session opened."""

    @property
    def welcome(self) -> Welcome:
        """What the orchestrator answered, with the session's epoch."""

    @property
    def connected(self) -> bool:
        """Whether a connection carries the link at this moment."""

    async def send(self, *messages: Message) -> None:
        """Queue messages in order; waits while the peer has no credit left.

        Raises:
            LinkClosed: the session has ended.
        """

    async def receive(self) -> Sequence[Message]:
        """Wait for at least one message and return all that have come, in order, each exactly once.

        Asking for more is what acknowledges the messages returned before: whoever must store them first
        (the orchestrator its journal, a device its results) does so before the next call.

        Raises:
            LinkClosed: the session has ended and all that came before its end has been returned.
        """

    async def aclose(self, reason: str = "") -> None:
        """Send what is queued and a goodbye, as far as the connection allows, and end the session."""
