"""The events of one run, kept for observers that come late, and handed to each at its own pace.

Most events stand for a command of the scheduler. Of such a command a note is kept, which becomes an event when somebody
reads it, so that what nobody looks at costs next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import anyio

from .events import Event, EventsMissed, RunFinished
from .notices import Note, Notes, from_note

MAX_KEPT = 20_000
"""How many of the latest events of a run are kept."""

_PAGE = 256
"""How many events a reader takes out at once."""


class EventLog:
    """Events in order; publishing never waits, and a reader that falls behind is told what it has missed.

    Attributes:
        run: The run's id.
        next_seq: The number of the next event.
        finished: The last event, once the run has ended.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.next_seq = 1
        self.finished: RunFinished | None = None
        self._kept: deque[Event | Note] = deque(maxlen=MAX_KEPT)
        self._closed: Exception | None = None
        self._changed: anyio.Event | None = None
        self._over = anyio.Event()

    def note(self, notes: Notes) -> None:
        """Add the events that notes stand for; see `publish`."""
        if self.finished is None:
            self._kept += notes
            self.next_seq += len(notes)
            if self._changed is not None:
                self._wake()

    def publish(self, event: Event) -> None:
        """Add an event that was made with `next_seq`; nothing comes after the end of the run."""
        if self.finished is not None:
            return
        self.next_seq = event.seq + 1
        self._kept.append(event)
        if isinstance(event, RunFinished):
            self.finished = event
            self._over.set()
        self._wake()

    def close(self, error: Exception) -> None:
        """Tell whoever waits that nothing comes any more although the run has not ended."""
        if self.finished is None and self._closed is None:
            self._closed = error
            self._over.set()
            self._wake()

    async def wait_finished(self) -> RunFinished:
        """Wait for the end of the run; raises what the log was closed with before it."""
        await self._over.wait()
        if self.finished is None:
            assert self._closed is not None
            raise self._closed
        return self.finished

    async def read(self, *, after: int = 0) -> AsyncIterator[Event]:
        """All events numbered above `after`, as they come, up to the end of the run.

        Raises:
            Exception: what the log was closed with, after the events before that.
        """
        while True:
            page = await self.page(after)
            if not page:
                return
            for event in page:
                yield event
            after = page[-1].seq

    async def page(self, after: int) -> list[Event]:
        """Wait for events numbered above `after` and return those that are here, oldest first, up to a page full.

        Empty only when the run has ended and `after` is its last event, or beyond.

        Raises:
            Exception: what the log was closed with, when there are no more before that.
        """
        while after + 1 >= self.next_seq:
            if self.finished is not None:
                return []
            if self._closed is not None:
                raise self._closed
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()
        oldest = self._event(0)
        missed = oldest.seq - after - 1
        if missed > 0:
            return [EventsMissed(seq=oldest.seq - 1, time=oldest.time, run=self.run, count=missed)]
        first = -missed
        return [self._event(place) for place in range(first, min(first + _PAGE, len(self._kept)))]

    def _event(self, place: int) -> Event:
        kept = self._kept[place]
        if isinstance(kept, Event):
            return kept
        return from_note(self.next_seq - len(self._kept) + place, self.run, kept)

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
