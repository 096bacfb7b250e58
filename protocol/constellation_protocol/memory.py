"""A connection within one process: a pair of transports, for tests and simulations that cut it at will."""

from __future__ import annotations

from collections import deque

from .errors import TransportClosed
from .signal import Signal

DEFAULT_CAPACITY = 16
"""How many frames may be on the way in one direction before the sender waits."""


class _Pipe:
    """One direction."""

    __slots__ = ("changed", "closed", "frames")

    def __init__(self) -> None:
        self.frames: deque[str | bytes] = deque()
        self.closed = False
        self.changed = Signal()

    def close(self) -> None:
        self.closed = True
        self.changed.notify()


class MemoryTransport:
    """One end of an in-memory connection."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, *, capacity: int) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._capacity = capacity
        self._closed = False

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; waits while `capacity` frames are under way."""
        pipe = self._outgoing
        while len(pipe.frames) >= self._capacity and not pipe.closed:
            await pipe.changed.wait()
        if pipe.closed:
            raise TransportClosed("the in-memory connection is closed")
        pipe.frames.append(frame)
        pipe.changed.notify()

    async def receive(self) -> str | bytes:
        """Wait for the next frame; those sent before a close in good order still arrive."""
        pipe = self._incoming
        while not pipe.frames:
            if pipe.closed:
                raise TransportClosed("the in-memory connection is closed")
            await pipe.changed.wait()
        frame = pipe.frames.popleft()
        pipe.changed.notify()
        return frame

    async def aclose(self) -> None:
        """Close; what was sent before can still be received by the other end."""
        self._closed = True
        self._outgoing.close()
        self._incoming.frames.clear()
        self._incoming.close()

    def abort(self) -> None:
        """Cut the connection; frames under way in either direction are lost, unless it was closed before."""
        if self._closed:
            return
        for pipe in (self._outgoing, self._incoming):
            pipe.frames.clear()
            pipe.close()


def memory_pair(*, capacity: int = DEFAULT_CAPACITY) -> tuple[MemoryTransport, MemoryTransport]:
    """Make the two ends of an in-memory connection; either end's `abort` cuts it for both."""
    there, back = _Pipe(), _Pipe()
    return MemoryTransport(there, back, capacity=capacity), MemoryTransport(back, there, capacity=capacity)
