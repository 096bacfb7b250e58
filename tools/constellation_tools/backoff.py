"""How long to wait before something is tried again: longer each time, and never all at the same moment.

Whoever waits draws the chance, and reads the clock; nothing here does.
"""

from __future__ import annotations

MOST_DOUBLINGS = 64
"""After so many failures a wait does not grow any more, whatever its bound."""


def longest_wait_s(failures: int, *, first_s: float, most_s: float, factor: float = 2.0) -> float:
    """The bound of the wait after the `failures`-th failure, at least one: it grows by a factor from try to try."""
    return min(most_s, first_s * factor ** min(failures - 1, MOST_DOUBLINGS))


def full_jitter_s(failures: int, unit: float, *, first_s: float, most_s: float, asked_s: float | None = None) -> float:
    """A wait drawn evenly between nothing and its bound ("full jitter", Brooker, AWS Architecture Blog, 2015).

    Those that failed together do not come back together.

    Args:
        failures: How often it has failed, this time included.
        unit: A number drawn from [0, 1).
        first_s: The longest wait before the second try, in seconds; it doubles from try to try.
        most_s: The longest wait of all.
        asked_s: How long the other side asks to wait, which is the least; None where it does not.
    """
    return (asked_s or 0.0) + unit * longest_wait_s(failures, first_s=first_s, most_s=most_s)
