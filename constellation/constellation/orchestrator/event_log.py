"""The events of one run, kept for observers that come late, and handed to each at its own pace."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import anyio

from .events import Event, EventsMissed, RunFinished

MAX_KEPT = 20_000
"""How many of the latest events of a run are kept."""


class EventLog:
    """Events in order; publishing never waits, and a reader that falls behind is told what it has missed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.next_seq = 1
        self.finished: RunFinished | None = None
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._changed: anyio.Event | None = None

    def publish(self, event: Event) -> None:
        """Add an event that was made with `next_seq`."""
        self.next_seq = event.seq + 1
        self._kept.append(event)
        if isinstance(event, RunFinished):
            self.finished = event
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def read(self, *, after: int = 0) -> AsyncIterator[Event]:
        """All events numbered above `after`, as they come, up to the end of the run."""
        seq = after + 1
        while True:
            while seq < self.next_seq:
                oldest = self._kept[0].seq
                if seq < oldest:
                    yield EventsMissed(seq=oldest - 1, time=self._kept[0].time, run=self.run, count=oldest - seq)
                    seq = oldest
                    continue
                event = self._kept[seq - oldest]
                seq += 1
                yield event
                if isinstance(event, RunFinished):
                    return
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()
