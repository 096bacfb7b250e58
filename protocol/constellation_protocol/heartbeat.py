"""Heartbeats: whether the peer of one connection is still there, judged by when it was last heard.

After each `interval_s` of silence a ping goes out; when `MISSED_BEATS` of them in a row got no answer of any kind,
the peer counts as dead. Beats are counted rather than derived from the clock: a process that was itself stopped for
a while must hear what waits in its socket before it judges its peer.
"""

from __future__ import annotations

MISSED_BEATS = 3


class Heartbeat:
    """Watches over one connection; all instants are those of the caller's monotonic clock, in seconds."""

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval_s = interval_s
        self._last = now
        self._missed = 0

    def heard(self, now: float) -> None:
        """Note that something came from the peer."""
        self._last = now
        self._missed = 0

    @property
    def deadline(self) -> float:
        """When to look again."""
        return self._last + self._interval_s

    @property
    def dead(self) -> bool:
        """Whether too many beats went unanswered."""
        return self._missed > MISSED_BEATS

    def beat(self, now: float) -> bool:
        """Count a beat that is due; returns whether a ping is to be sent."""
        if now < self.deadline:
            return False
        self._last = now
        self._missed += 1
        return not self.dead
