"""What carries frames: one interface over WebSockets, memory, and whatever a simulation needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Peer:
    """What the network says of the other end of a connection, whatever it says of itself.

    Attributes:
        address: Its IP address; empty where there is no network.
        certificate_names: The names in the certificate that it has shown; None when it has shown none.
    """

    address: str = ""
    certificate_names: frozenset[str] | None = None


NO_PEER = Peer()
"""The other end of a connection that no network carries."""

Connect = Callable[[], Awaitable[Transport]]
"""Makes a new connection to the peer; raises TransportClosed where that fails."""
