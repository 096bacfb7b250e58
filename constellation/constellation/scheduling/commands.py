"""What the scheduler wants done, and what it lets be known: the output of the state machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..graph import Applied, Outcome, StarError, StarId, StarState, TaskStar
from .events import AttemptId, DeviceId, JournalEntry, RunId


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send an attempt to its device; the arguments have their references resolved."""

    run: RunId
    star: TaskStar
    attempt: AttemptId
    device: DeviceId
    epoch: int
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Tell a device to stop an attempt."""

    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    reason: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Send `TimerFired` at the given time; replaces a timer of the same name."""

    run: RunId
    timer: str
    due_at: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget a timer; it may have fired or never been started."""

    run: RunId
    timer: str


@dataclass(frozen=True, slots=True)
class QueueStar:
    """A star waits for a device from now on."""

    run: RunId
    star: StarId


@dataclass(frozen=True, slots=True)
class UnqueueStar:
    """A star does not wait for a device any more."""

    run: RunId
    star: StarId


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Ask a person; the answer comes back as `ApprovalAnswered`."""

    run: RunId
    star: StarId
    question: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StartNested:
    """Start a run of its own for a nested constellation; its end comes back as `NestedEnded`."""

    run: RunId
    star: StarId
    constellation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CancelNested:
    """End the run of a nested constellation."""

    run: RunId
    star: StarId
    reason: str


@dataclass(frozen=True, slots=True)
class RequestReview:
    """Have the planner look at a star that has ended; the end of it comes back as `HoldReleased`."""

    run: RunId
    star: StarId


@dataclass(frozen=True, slots=True)
class StarStarted:
    """Let it be known that a star runs."""

    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId


@dataclass(frozen=True, slots=True)
class StarRetrying:
    """Let it be known that a star goes back in the queue, why, and after how many seconds."""

    run: RunId
    star: StarId
    attempt: AttemptId | None
    device: DeviceId | None
    error: StarError
    delay_s: float


@dataclass(frozen=True, slots=True)
class StarSettled:
    """Let it be known that a star has ended."""

    run: RunId
    star: StarId
    state: StarState
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class EditApplied:
    """Let it be known that the graph has changed, and how."""

    run: RunId
    applied: Applied
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunSettled:
    """Let it be known that the run has ended; nothing follows it."""

    run: RunId
    state: str
    error: StarError | None


Command = (
    Dispatch
    | CancelAttempt
    | StartTimer
    | StopTimer
    | QueueStar
    | UnqueueStar
    | AskApproval
    | StartNested
    | CancelNested
    | RequestReview
    | StarStarted
    | StarRetrying
    | StarSettled
    | EditApplied
    | RunSettled
)
"""Any command."""


@dataclass(slots=True)
class Step:
    """What follows from an event: entries for the journal, and commands to carry out once those are stored."""

    entries: list[JournalEntry] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
