"""The life of one call, as a table: which step may follow in which state, and what it leads to.

    received <──> awaiting approval
        └───────> queued ──> running ──> completed
                    ^           │
                    └─ backing off

Every state but the four of its end may be followed by `fail`, `refuse` or `cancel`. A call ends once: steps that come
later, such as the result of a call that has been cancelled, change nothing and are counted. No clock is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CallState(StrEnum):
    """Where a call stands."""

    RECEIVED = "received"
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """Whether the call has ended."""
        return self in _SETTLED

    @property
    def task_status(self) -> str:
        """The same as the Tasks of MCP say it: working, input_required, completed, failed or cancelled."""
        return _TASK_STATUS.get(self, "working")


class Step(StrEnum):
    """What happens to a call."""

    ASK = "ask"
    GRANT = "grant"
    ENQUEUE = "enqueue"
    START = "start"
    BACK_OFF = "back_off"
    COMPLETE = "complete"
    FAIL = "fail"
    REFUSE = "refuse"
    CANCEL = "cancel"


_SETTLED = frozenset({CallState.COMPLETED, CallState.FAILED, CallState.REFUSED, CallState.CANCELLED})

_TASK_STATUS: Mapping[CallState, str] = {
    CallState.AWAITING_APPROVAL: "input_required",
    CallState.COMPLETED: "completed",
    CallState.FAILED: "failed",
    CallState.REFUSED: "failed",
    CallState.CANCELLED: "cancelled",
}

_ENDS: Mapping[Step, CallState] = {
    Step.FAIL: CallState.FAILED,
    Step.REFUSE: CallState.REFUSED,
    Step.CANCEL: CallState.CANCELLED,
}

TRANSITIONS: Mapping[CallState, Mapping[Step, CallState]] = {
    CallState.RECEIVED: {
        Step.ASK: CallState.AWAITING_APPROVAL,
        Step.ENQUEUE: CallState.QUEUED,
        Step.COMPLETE: CallState.COMPLETED,  # a hook knew the result
        **_ENDS,
    },
    CallState.AWAITING_APPROVAL: {Step.GRANT: CallState.RECEIVED, **_ENDS},
    CallState.QUEUED: {Step.START: CallState.RUNNING, **_ENDS},
    CallState.RUNNING: {
        Step.BACK_OFF: CallState.BACKING_OFF,
        Step.COMPLETE: CallState.COMPLETED,
        **_ENDS,
    },
    CallState.BACKING_OFF: {Step.ENQUEUE: CallState.QUEUED, **_ENDS},
}
"""What each step leads to; states of the end have none."""


class ImpossibleStep(AssertionError):
    """Raised when the runner itself takes a step that the table does not have: a mistake in its code."""


@dataclass(slots=True)
class CallLife:
    """One call's way through the table.

    Attributes:
        state: Where it stands.
        tries: How often it has been started.
        running_s: Seconds that it has run so far, over all tries; waiting does not count.
        late: Steps that came after its end.
    """

    state: CallState = CallState.RECEIVED
    tries: int = 0
    running_s: float = 0.0
    late: int = 0
    _started_s: float | None = field(default=None, repr=False)

    def take(self, step: Step, now_s: float) -> bool:
        """Take a step; returns False where the call has ended already, which changes nothing.

        Args:
            step: What has happened.
            now_s: When, in seconds by a clock that never goes back.

        Raises:
            ImpossibleStep: the step does not belong to the present state.
        """
        if self.state.settled:
            self.late += 1
            return False
        following = TRANSITIONS[self.state].get(step)
        if following is None:
            raise ImpossibleStep(f"a call that is {self.state} can't {step}")
        self.tries += step is Step.START
        if following is CallState.RUNNING:
            self._started_s = now_s
        elif self._started_s is not None:
            self.running_s += now_s - self._started_s
            self._started_s = None
        self.state = following
        return True
