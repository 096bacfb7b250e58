"""How long a store that is away is waited for: decided here, without a clock, without chance and without a store."""

from __future__ import annotations

from constellation_tools.backoff import full_jitter_s

PATIENCE_S = 120.0
"""How long a store may be away before it is given up, in seconds: a server is started again within a few, and those who
watch over several need half a minute to a minute to make another the first."""

FIRST_S = 0.1
"""The longest wait before the second try, in seconds; the first one comes at once."""

MOST_S = 1.0
"""The longest wait between two tries, in seconds: less than others take to see that a claim has run out."""


class Outage:
    """A time in which a store is away.

    Attributes:
        began_at: When that was noticed, in seconds by whatever clock.
        failures: After how many tries since then a wait was asked for.
    """

    def __init__(self, began_at: float, *, patience_s: float) -> None:
        self.began_at = began_at
        self.failures = 0
        self._patience_s = patience_s

    def next_wait_s(self, now: float, unit: float) -> float | None:
        """How long to wait before the next try, now that one has failed; None when the store is given up.

        Args:
            now: The time, by the clock of `began_at`.
            unit: A number drawn from [0, 1).
        """
        left_s = self.began_at + self._patience_s - now
        if left_s <= 0:
            return None
        self.failures += 1
        return min(left_s, full_jitter_s(self.failures, unit, first_s=FIRST_S, most_s=MOST_S))
