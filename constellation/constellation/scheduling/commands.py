"""What the scheduler wants done, and what it lets be known: the output of the state machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..graph import Applied, Outcome, StarError, StarId, StarState, TaskStar
from ..graph.record import record
from .events import AttemptId, DeviceId, JournalEntry, RunId


@record
class Dispatch:
    """Send an attempt to its device; the arguments have their references resolved."""

    run: RunId
    star: TaskStar
    attempt: AttemptId
    device: DeviceId
    epoch: int
    arguments: Mapping[str, Any]


@record
class CancelAttempt:
    """Tell a device to stop an attempt."""

    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    reason: str
    grace_s: float


@record
class AskApproval:
    """Ask a person; the answer comes back as `ApprovalAnswered`."""

    run: RunId
    star: StarId
    question: str
    arguments: Mapping[str, Any]


@record
class ProposalSettled:
    """Let it be known that a proposal has been answered, or withdrawn."""

    run: RunId
    star: StarId
    approved: bool
    by: str
    comment: str


@record
class StartNested:
    """Start a run of its own, `child`, for a nested constellation; its end comes back as `NestedEnded`."""

    run: RunId
    star: StarId
    child: RunId
    constellation: Mapping[str, Any]


@record
class CancelNested:
    """End the run of a nested constellation."""

    run: RunId
    star: StarId
    child: RunId
    reason: str


@record
class RequestReview:
    """Have the planner look at a star that has ended; the end of it comes back as `HoldReleased`."""

    run: RunId
    star: StarId


@record
class StarStarted:
    """Let it be known that a star runs."""

    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId


@record
class StarRetrying:
    """Let it be known that a star goes back in the queue, why, and after how many seconds."""

    run: RunId
    star: StarId
    attempt: AttemptId | None
    device: DeviceId | None
    error: StarError
    delay_s: float


@record
class StarSettled:
    """Let it be known that a star has ended.

    `begun` is its last attempt where nothing was heard of that before its result, which says as well that it has begun.
    """

    run: RunId
    star: StarId
    state: StarState
    outcome: Outcome
    begun: AttemptId | None = None


@record
class EditApplied:
    """Let it be known that the graph has changed, and how."""

    run: RunId
    applied: Applied
    author: str
    reason: str


@record
class RunSettled:
    """Let it be known that the run has ended; nothing follows it."""

    run: RunId
    state: str
    error: StarError | None


AboutRuns = StartNested | CancelNested | RunSettled
"""The commands of a run that are about other runs as well."""

Command = (
    Dispatch
    | CancelAttempt
    | AskApproval
    | ProposalSettled
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
    """What follows from events: entries for the journal, and commands to carry out once those are stored.

    Attributes:
        entries: All entries.
        of_runs: Those among them that begin, take up, pause or go on with a whole run, or are notes of its planner; no
            commands stand for them.
        commands: What is to be done, in this order.
    """

    entries: list[JournalEntry] = field(default_factory=list)
    of_runs: list[JournalEntry] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
