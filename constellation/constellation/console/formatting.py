"""Numbers, durations and lists as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .sanitise import visible

STATE_ORDER = ("succeeded", "failed", "cancelled", "skipped", "running", "assigned", "ready", "pending")
"""The order in which states are listed: ends first, then from near the end to far from it."""

CAUSE_LIMIT = 500
"""The most characters of an error's message that are shown."""


def duration(seconds: float) -> str:
    """Seconds as a person would say them: `420 ms`, `12.3 s`, `4 min 05 s`, `2 h 07 min`."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def by_state(counts: Mapping[str, int]) -> str:
    """Counts by state on one line, without those that are zero."""
    known = [state for state in STATE_ORDER if counts.get(state)]
    other = [state for state in counts if state not in STATE_ORDER and counts[state]]
    return ", ".join(f"{counts[state]:,} {visible(state)}" for state in [*known, *other]) or "none"


def some(names: Sequence[str], *, most: int = 6) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(visible(name) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def cause(error: Mapping[str, Any] | None) -> str:
    """An error as `type: message`."""
    if not error:
        return "no cause is known"
    kind, message = visible(error.get("type", "")), visible(error.get("message", ""), limit=CAUSE_LIMIT)
    return ": ".join(part for part in (kind, message) if part) or "no cause is known"
