"""The timers of all runs in one heap; what is stopped or replaced stays in it as a dud until its time."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .events import RunId

_MAX_DUDS = 4096


class Timers:
    """Named instants, per run. Time is whatever the caller says it is."""

    def __init__(self) -> None:
        self._due: dict[tuple[RunId, str], float] = {}
        self._heap: list[tuple[float, RunId, str]] = []

    def start(self, run: RunId, timer: str, due_at: float) -> None:
        """Start a timer, in place of one of the same name."""
        self._due[run, timer] = due_at
        heappush(self._heap, (due_at, run, timer))
        if len(self._heap) > 2 * len(self._due) + _MAX_DUDS:
            self._heap = [(due, *key) for key, due in self._due.items()]
            heapify(self._heap)

    def stop(self, run: RunId, timer: str) -> None:
        """Forget a timer; it need not exist."""
        self._due.pop((run, timer), None)

    def stop_all(self, run: RunId) -> None:
        """Forget all timers of a run."""
        for key in [key for key in self._due if key[0] == run]:
            del self._due[key]

    def next_due_at(self) -> float | None:
        """When the next timer is due; None when there is none."""
        while self._heap:
            due, run, timer = self._heap[0]
            if self._due.get((run, timer)) == due:
                return due
            heappop(self._heap)
        return None

    def pop_due(self, now: float) -> list[tuple[RunId, str]]:
        """Take out the timers that are due, earliest first."""
        fired = []
        while (due := self.next_due_at()) is not None and due <= now:
            _, run, timer = heappop(self._heap)
            del self._due[run, timer]
            fired.append((run, timer))
        return fired
