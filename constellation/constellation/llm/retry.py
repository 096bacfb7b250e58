"""When to try again, and after how long: a policy without a clock or randomness of its own."""

from __future__ import annotations

from dataclasses import dataclass

from constellation_tools.backoff import full_jitter_s

from .errors import ProviderError


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a request is tried again.

    Attributes:
        attempts: How often it is tried in all.
        first_s: The longest wait before the second try, in seconds; it doubles from try to try.
        most_s: The longest wait of all.
        most_asked_s: How long a provider may ask to wait; one that asks for more is not waited for.
    """

    attempts: int = 5
    first_s: float = 0.5
    most_s: float = 30.0
    most_asked_s: float = 120.0

    def __post_init__(self) -> None:
        """Raises ValueError: there would be no try at all, or a negative wait."""
        if self.attempts < 1 or min(self.first_s, self.most_s, self.most_asked_s) < 0:
            raise ValueError("retries need at least 1 attempt and waits that are not negative")

    def delay_s(self, error: ProviderError, failures: int, unit: float) -> float | None:
        """Seconds to wait after the `failures`-th failure; None to give up.

        What a provider asks for is the least.

        Args:
            error: What went wrong.
            failures: How often it has, this time included.
            unit: A number drawn from [0, 1).
        """
        if not error.retryable or failures >= self.attempts:
            return None
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self.most_asked_s:
            return None
        return full_jitter_s(failures, unit, first_s=self.first_s, most_s=self.most_s, asked_s=asked_s)
