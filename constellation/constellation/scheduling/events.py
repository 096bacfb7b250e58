"""What happens to a run: the input events of its state machine, which are also what the journal keeps.

A run's state is a function of its events alone. What policies decide (where a star goes, whether its work may be
repeated) is in the events, so a newer release with other policies replays an older journal to the same state.
`at` is always seconds since the Unix epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from ..graph import EditBatch, StarError, StarId
from ..graph.record import record
from .errors import InvalidOptions
from .ids import AttemptId as AttemptId
from .ids import DeviceId as DeviceId
from .ids import RunId as RunId
from .ids import attempt_id as attempt_id
from .ids import nested_id as nested_id
from .ids import parse_attempt as parse_attempt
from .planner_events import PlannerNoted as PlannerNoted
from .planner_events import ProposalMade as ProposalMade
from .planner_events import ProposalWithdrawn as ProposalWithdrawn


@record
class RunOptions:
    """How a run is to be carried out.

    Attributes:
        deadline_s: Seconds after which the run is ended, or None.
        cancel_grace_s: Seconds that a device has to stop a cancelled attempt before the star is ended without it.
        timeout_margin_s: Seconds beyond a star's timeout after which the orchestrator, too, gives the attempt up; the
            device, which knows when the work began, normally comes first.
        max_losses: How often a star may lose its device before it fails, so that work which kills its devices ends.
        review: Whether a planner looks at every star that ends, while what waits for that star is held.
        review_timeout_s: Seconds after which a review that has not come to an end is given up.
        accept_s: How long an attempt is on lease to a device that has not begun with it, in seconds; then it is lost.

    Raises:
        InvalidOptions: one makes no sense. Seconds are finite: neither timers nor the journal know others.
    """

    deadline_s: float | None = None
    cancel_grace_s: float = 10.0
    timeout_margin_s: float = 2.0
    max_losses: int = 4
    review: bool = False
    review_timeout_s: float = 300.0
    accept_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "cancel_grace_s", "timeout_margin_s", "review_timeout_s", "accept_s"):
            seconds: object = getattr(self, name)
            if seconds is None and name == "deadline_s":
                continue
            if type(seconds) not in (int, float) or not 0 <= seconds <= sys.float_info.max:  # type: ignore[operator]
                raise InvalidOptions(f"{name} is {seconds!r}, and has to be 0 or more seconds")
        if type(self.max_losses) is not int or self.max_losses < 0:
            raise InvalidOptions(f"max_losses is {self.max_losses!r}, and has to be 0 or more")
        if type(self.review) is not bool:
            raise InvalidOptions(f"review is {self.review!r}, and has to be true or false")


@record
class RunStarted:
    """A run begins, with its graph as a document."""

    at: float
    run: RunId
    graph: Mapping[str, Any]
    options: RunOptions = RunOptions()
    parent: tuple[RunId, StarId] | None = None
    kind: Literal["run_started"] = "run_started"


@record
class GraphEdited:
    """A batch of edits."""

    at: float
    run: RunId
    batch: EditBatch
    kind: Literal["graph_edited"] = "graph_edited"


@record
class StarAssigned:
    """The placement policy gives a ready star to a device.

    `idempotent` is what star and tool together say; `memory` names the device's record of attempts.
    """

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    idempotent: bool
    memory: str = ""
    kind: Literal["star_assigned"] = "star_assigned"


@record
class AttemptStarted:
    """The device has begun with the attempt."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    kind: Literal["attempt_started"] = "attempt_started"


@record
class AttemptRejected:
    """The device did not begin with the attempt and will not: nothing has happened."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    code: str
    message: str
    kind: Literal["attempt_rejected"] = "attempt_rejected"


@record
class AttemptSucceeded:
    """The attempt is done; `duration_s` is what the device measured, `artifact_bytes` the size of the files it made."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    output: Any
    duration_s: float = 0.0
    artifact_bytes: int = 0
    kind: Literal["attempt_succeeded"] = "attempt_succeeded"


@record
class AttemptFailed:
    """The attempt ended with an error."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    error: StarError
    duration_s: float = 0.0
    kind: Literal["attempt_failed"] = "attempt_failed"


@record
class AttemptCancelled:
    """The device has stopped the attempt as it was told to."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    kind: Literal["attempt_cancelled"] = "attempt_cancelled"


@record
class AttemptLost:
    """Nobody knows any more what the attempt does: its device is gone, or no longer knows of it.

    `begun` is False when the device is known never to have begun with it.
    """

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    reason: str
    begun: bool = True
    kind: Literal["attempt_lost"] = "attempt_lost"


@record
class AttemptAdopted:
    """The device has come back in a new session and still has the attempt: its fence moves to the new epoch."""

    at: float
    run: RunId
    star: StarId
    attempt: AttemptId
    device: DeviceId
    epoch: int
    kind: Literal["attempt_adopted"] = "attempt_adopted"


@record
class PlacementFailed:
    """No device can take the star, and none has come in the time allowed; or the policy could not choose.

    `type` is what the star's error is called.
    """

    at: float
    run: RunId
    star: StarId
    reason: str
    type: str = "NoDevice"
    kind: Literal["placement_failed"] = "placement_failed"


@record
class TimerFired:
    """A timer that a command started has run down."""

    at: float
    run: RunId
    timer: str
    kind: Literal["timer_fired"] = "timer_fired"


@record
class RunPaused:
    """Nothing new is to start; what runs goes on."""

    at: float
    run: RunId
    kind: Literal["run_paused"] = "run_paused"


@record
class RunUnpaused:
    """The pause is over."""

    at: float
    run: RunId
    kind: Literal["run_unpaused"] = "run_unpaused"


@record
class CancelRequested:
    """Someone wants the run to end, or one star, or (`subtree`) a star and all that waits for it."""

    at: float
    run: RunId
    star: StarId | None = None
    subtree: bool = False
    reason: str = ""
    kind: Literal["cancel_requested"] = "cancel_requested"


@record
class HoldTaken:
    """Someone wants to look at a star before anything that waits for it moves."""

    at: float
    run: RunId
    star: StarId
    kind: Literal["hold_taken"] = "hold_taken"


@record
class HoldReleased:
    """A review has come to its end."""

    at: float
    run: RunId
    star: StarId
    note: str = ""
    kind: Literal["hold_released"] = "hold_released"


@record
class ApprovalAnswered:
    """A person has answered an approval."""

    at: float
    run: RunId
    star: StarId
    approved: bool
    by: str = ""
    comment: str = ""
    kind: Literal["approval_answered"] = "approval_answered"


@record
class NestedEnded:
    """The run of a nested constellation has ended: `child`, or, where that is empty, the latest try of it."""

    at: float
    run: RunId
    star: StarId
    output: Any = None
    error: StarError | None = None
    child: RunId = RunId("")
    kind: Literal["nested_ended"] = "nested_ended"


@record
class RunRecovered:
    """An orchestrator has taken the run up again from its journal.

    `review` says whether there is a planner now. With `rerun`, a person has decided that what was going on may be run
    again even where it is not idempotent.
    """

    at: float
    run: RunId
    review: bool = False
    rerun: bool = False
    kind: Literal["run_recovered"] = "run_recovered"


RunEvent = Annotated[
    RunStarted
    | GraphEdited
    | StarAssigned
    | AttemptStarted
    | AttemptRejected
    | AttemptSucceeded
    | AttemptFailed
    | AttemptCancelled
    | AttemptLost
    | AttemptAdopted
    | PlacementFailed
    | TimerFired
    | RunPaused
    | RunUnpaused
    | CancelRequested
    | HoldTaken
    | HoldReleased
    | ApprovalAnswered
    | ProposalMade
    | ProposalWithdrawn
    | PlannerNoted
    | NestedEnded
    | RunRecovered,
    Field(discriminator="kind"),
]
"""Any event of a run."""

Verdicts = Mapping[str, bool | str]
"""What conditions came to while an event was taken in: by `<source>><target>`, true, false, or why it failed."""

NO_VERDICTS: Verdicts = {}


@record
class JournalEntry:
    """An event with what conditions came to, so that a replay need not evaluate them again."""

    event: RunEvent
    verdicts: Verdicts = field(default_factory=lambda: NO_VERDICTS)
