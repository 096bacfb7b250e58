"""A token bucket: how long whoever has done too much at once has to pause. Time is an argument."""

from __future__ import annotations


class Bucket:
    """Lets through `per_s` units a second in the long run, and a second's worth of them at once."""

    __slots__ = ("_filled_at", "_left", "_per_s")

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._filled_at: float | None = None

    def take(self, units: float, now: float) -> None:
        """Take out so many units; what is not there is owed."""
        if self._filled_at is not None:
            self._left = min(self._per_s, self._left + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        self._left -= units

    @property
    def owed_s(self) -> float:
        """Seconds after the last `take` until nothing is owed any more."""
        return max(0.0, -self._left / self._per_s)
