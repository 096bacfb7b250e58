"""When a tool is tried again, and after how long: a policy without a clock or randomness of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .backoff import full_jitter_s
from .errors import ToolUnavailable

_TRANSIENT = (ConnectionError, TimeoutError)
"""What an idempotent tool is tried again after; a network's, not `ToolTimeout`, which is a limit that was set."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a call is tried again.

    A failure is worth another try when the tool says so by raising `ToolUnavailable`, when its type is among `on`, or
    when the tool is idempotent and the connection to something failed.

    Attributes:
        attempts: How often a call is tried in all; 1 for no second try.
        first_s: The longest wait before the second try, in seconds; it doubles from try to try.
        most_s: The longest wait of all, in seconds.
        on: Types of errors after which a try has had no effect, or may be repeated anyway.
    """

    attempts: int = 3
    first_s: float = 0.5
    most_s: float = 30.0
    on: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError: there would be no try at all, or a negative wait."""
        if self.attempts < 1 or min(self.first_s, self.most_s) < 0:
            raise ValueError("a retry needs at least 1 attempt and waits that are not negative")

    def delay_s(self, error: Exception, failures: int, unit: float, *, idempotent: bool) -> float | None:
        """Seconds to wait after the `failures`-th failure; None to give up.

        What the tool asks for is the least, and where it asks for more than `most_s` it is given up.

        Args:
            error: What went wrong.
            failures: How often it has, this time included.
            unit: A number drawn from [0, 1).
            idempotent: Whether the tool is.
        """
        if failures >= self.attempts or not self._worthwhile(error, idempotent):
            return None
        asked_s = error.retry_after_s if isinstance(error, ToolUnavailable) else None
        if asked_s is not None and asked_s > self.most_s:
            return None
        return full_jitter_s(failures, unit, first_s=self.first_s, most_s=self.most_s, asked_s=asked_s)

    def _worthwhile(self, error: Exception, idempotent: bool) -> bool:
        if isinstance(error, (ToolUnavailable, *self.on)):
            return True
        return idempotent and isinstance(error, _TRANSIENT)
