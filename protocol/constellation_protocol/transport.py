"""What carries frames: one interface over WebSockets, memory, and whatever a simulation needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Transport(Protocol):
    """One connection that carries whole frames in order. One task sends, one receives."""

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; waits while the peer is slow.

        Raises:
            TransportClosed: the connection is gone.
        """

    async def receive(self) -> str | bytes:
        """Wait for the next frame.

        Raises:
            TransportClosed: the connection is gone.
            FrameTooLarge: the peer sent a frame over the limit; the connection is of no more use.
        """

    async def aclose(self) -> None:
        """Close in good order, within a bounded time; what was sent before arrives."""

    def abort(self) -> None:
        """Cut the connection at once; what is on the way may be lost."""


Connect = Callable[[], Awaitable[Transport]]
"""Makes a new connection to the peer; raises TransportClosed where that fails."""
