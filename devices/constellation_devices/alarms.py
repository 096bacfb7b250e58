"""Deadlines of running attempts: when one has run out of time, and when one that won't stop is given up."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Literal

import anyio

from constellation_protocol.signal import Signal

from .attempts import Attempt

AlarmKind = Literal["timeout", "give-up"]

_MIN_SWEEP = 64


class Alarms:
    """One task that waits for the earliest deadline; attempts without deadlines cost nothing."""

    def __init__(self, ring: Callable[[Attempt, AlarmKind], None]) -> None:
        self._ring = ring
        self._heap: list[tuple[float, int, Attempt, AlarmKind]] = []
        self._numbers = itertools.count()
        self._changed = Signal()
        self._sweep_at = _MIN_SWEEP

    def set(self, after_s: float, attempt: Attempt, kind: AlarmKind) -> None:
        """Ring `after_s` seconds from now unless the attempt is settled by then."""
        if len(self._heap) >= self._sweep_at:
            # Most attempts end long before their deadline: without this, their entries would pile up till then.
            self._heap = [entry for entry in self._heap if not entry[2].settled]
            heapq.heapify(self._heap)
            self._sweep_at = max(_MIN_SWEEP, 2 * len(self._heap))
        entry = (anyio.current_time() + after_s, next(self._numbers), attempt, kind)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._changed.notify()

    async def run(self) -> None:
        """Ring alarms until cancelled."""
        while True:
            now = anyio.current_time()
            while self._heap and self._heap[0][0] <= now:
                _, _, attempt, kind = heapq.heappop(self._heap)
                if not attempt.settled:
                    self._ring(attempt, kind)
            with anyio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf):
                await self._changed.wait()
