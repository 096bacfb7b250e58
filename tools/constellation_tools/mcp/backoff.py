"""How long to wait before a server is started or reached again: longer each time, and never all at the same moment."""

from __future__ import annotations

from dataclasses import dataclass

from ..backoff import longest_wait_s


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff.

    Attributes:
        first_s: The wait after the first failure, in seconds.
        most_s: The longest wait, in seconds.
        factor: How much longer each wait is than the one before.
    """

    first_s: float = 0.1
    most_s: float = 15.0
    factor: float = 2.0

    def delay_s(self, failures: int, chance: float) -> float:
        """The wait after this many failures in a row, at least one; `chance`, from 0 to 1, halves it at most."""
        longest = longest_wait_s(failures, first_s=self.first_s, most_s=self.most_s, factor=self.factor)
        return longest * (1 - chance / 2)
