"""The life cycle of a star, as data, and what is known of a star once it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from .record import record


class StarState(StrEnum):
    """Where a star is in its life."""

    __hash__ = str.__hash__  # that of enumerations is Python code, and every transition looks states up

    PENDING = "pending"
    """Waits for lines that lead into it."""
    READY = "ready"
    """All its lines are met; waits for a device, a retry delay, or a pause to end."""
    ASSIGNED = "assigned"
    """An attempt was given to a device that has not yet said that it started."""
    RUNNING = "running"
    """An attempt runs, or an approval waits for its answer."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """A line into it can no longer be met."""


SETTLED = frozenset({StarState.SUCCEEDED, StarState.FAILED, StarState.CANCELLED, StarState.SKIPPED})
"""States that a star never leaves."""

IN_FLIGHT = frozenset({StarState.ASSIGNED, StarState.RUNNING})
"""States in which an attempt is with a device: the star's spec and the lines into it are fixed."""

OPEN = frozenset({StarState.PENDING, StarState.READY})
"""States in which a star may still be edited."""

TRANSITIONS: Mapping[StarState, frozenset[StarState]] = {
    StarState.PENDING: frozenset({StarState.READY, StarState.FAILED, StarState.CANCELLED, StarState.SKIPPED}),
    StarState.READY: frozenset(
        {
            StarState.PENDING,
            StarState.ASSIGNED,
            StarState.RUNNING,
            StarState.FAILED,
            StarState.CANCELLED,
            StarState.SKIPPED,
        }
    ),
    StarState.ASSIGNED: frozenset({StarState.READY, StarState.RUNNING, *SETTLED - {StarState.SKIPPED}}),
    StarState.RUNNING: frozenset({StarState.READY, *SETTLED - {StarState.SKIPPED}}),
    StarState.SUCCEEDED: frozenset(),
    StarState.FAILED: frozenset(),
    StarState.CANCELLED: frozenset(),
    StarState.SKIPPED: frozenset(),
}
"""For each state, the states that may follow it."""


@record
class StarError:
    """Why a star failed, was cancelled or skipped. `type` is a stable name to decide by."""

    type: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@record
class Outcome:
    """How a star ended.

    Attributes:
        output: What its work returned, JSON; None unless it succeeded.
        error: Why it did not succeed.
        device: Where its last attempt ran.
        attempts: How many attempts were made.
        started_at: When the last attempt was given out, seconds since the epoch; None without one.
        ended_at: When the star settled, seconds since the epoch.
    """

    output: Any = None
    error: StarError | None = None
    device: str | None = None
    attempts: int = 0
    started_at: float | None = None
    ended_at: float | None = None
