"""Waiting for a seat: what `Admission` decides, as something that tasks can wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from .admission import Admission, Seat


class Seats:
    """The seats of one runner."""

    def __init__(self, most: int) -> None:
        """Have so many seats.

        Raises:
            ValueError: it is none.
        """
        self._admission = Admission(most)
        self._admitted: dict[int, anyio.Event] = {}

    def reserve(self, seat: Seat) -> None:
        """Take a place in the order; `leave` has to follow."""
        self._admission.reserve(seat)

    def leave(self, key: int) -> None:
        """Give back whatever a call has."""
        self._wake(self._admission.leave(key))

    @asynccontextmanager
    async def seat(self, seat: Seat) -> AsyncIterator[None]:
        """Wait for a seat and have it until the block is left; however it is left, it is given back."""
        admitted = self._admitted[seat.key] = anyio.Event()
        try:
            self._wake(self._admission.ask(seat))
            await admitted.wait()
            yield
        finally:
            del self._admitted[seat.key]
            self.leave(seat.key)

    def _wake(self, keys: Iterable[int]) -> None:
        for key in keys:
            self._admitted[key].set()
