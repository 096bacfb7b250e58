"""A wake-up call between tasks of one event loop, cheap enough for every message."""

from __future__ import annotations

import anyio


class Signal:
    """Wakes everybody who waits at the moment it is given.

    Whoever waits checks its condition first and again afterwards; between that check and `wait` nothing else
    can run, so no call is missed.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all who wait; costs next to nothing when nobody does."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next call."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
