"""Connections that have not said a word yet: they cost nothing to open, so the oldest makes way for one that is new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .transport import Transport


class Unheard:
    """The connections whose first message is waited for."""

    def __init__(self) -> None:
        self._waiting: dict[Transport, None] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def awaited(self, transport: Transport) -> Iterator[None]:
        """Wait for a connection's first message inside of the context."""
        self._waiting[transport] = None
        try:
            yield
        finally:
            self._waiting.pop(transport, None)

    def cut_oldest(self) -> bool:
        """Cut the connection that has been silent for the longest time; returns whether there was one."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        oldest.abort()
        return True
