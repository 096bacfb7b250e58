"""The state of one run, and how its stars move: becoming ready, beginning, ending, and what that does to others."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from ..graph import (
    IN_FLIGHT,
    Approval,
    Changes,
    ConditionError,
    InvalidDocument,
    Nested,
    Outcome,
    Prompt,
    Reference,
    ReferenceFault,
    StarError,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
)
from ..graph.conditions import evaluate_condition
from ..graph.documents import load
from ..graph.references import point_into, resolve_references
from . import events as ev
from .attempts import Attempt, Tries
from .commands import (
    AskApproval,
    CancelNested,
    Command,
    RequestReview,
    RunSettled,
    StarSettled,
    StartNested,
)
from .desk import Desk
from .errors import RunEnded
from .events import NO_VERDICTS, AttemptId, DeviceId, RunId, Verdicts, nested_id
from .expansion import fill_inputs
from .planning_state import PlanningState


class RunState:
    """What there is to know of a run between two events; `RunMachine` has the rules by which events change it.

    Attributes:
        run: Its id.
        graph: Its graph, with the states of the stars.
        options: How it is carried out.
        planning: What its planner has used, and what it asks people.
        parent: For the run of a nested constellation, the run and the star that it belongs to.
        state: `running`, `paused`, `succeeded`, `failed` or `cancelled`.
        error: Why it did not succeed, once it has ended.
        at: When the last event happened.
        desk: Where it leaves what has to wait.
        concerns_runs: Whether one of the commands since this was reset is about another run, or its own end.
        stale: How many events came too late to mean anything.
    """

    def __init__(self, started: ev.RunStarted) -> None:
        """Make a run; raises InvalidDocument when the event's graph is none."""
        self.run: RunId = started.run
        self.graph: TaskConstellation = load(started.graph)
        _refuse_in_flight(self.graph)
        self.options = started.options
        self.parent = started.parent
        self.planning = PlanningState()
        self.state = "running"
        self.error: StarError | None = None
        self.stale = 0
        self.review = started.options.review
        self.artifact_bytes: dict[StarId, int] = {}
        self.attempts: dict[AttemptId, Attempt] = {}
        self.tries: dict[StarId, Tries] = {}
        self._holds: dict[StarId, int] = {}
        self._reviews: dict[StarId, None] = {}
        self._parked: dict[StarId, None] = {}
        self._failed: list[StarId] = []
        if self.graph.counts[StarState.FAILED]:
            self._failed = [star for star in self.graph if self.graph.state(star) is StarState.FAILED]
        self._newly_ready: deque[StarId] = deque()
        self._following = False
        self._closing: tuple[str, StarError] | None = None
        self.at = started.at
        self.desk = Desk()
        self.concerns_runs = False
        self._out: list[Command] = []
        self._recorded: Verdicts = NO_VERDICTS
        self._verdicts: dict[str, bool | str] | None = None
        self.graph.evaluate = self._evaluate

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state not in ("running", "paused")

    @property
    def closing(self) -> bool:
        """Whether the run is over, or about to be: it takes no requests any more."""
        return self._closing is not None or self.ended

    def _refuse_after_end(self) -> None:
        if self.ended:
            raise RunEnded(self.run, self.state)
        if self._closing:
            raise RunEnded(self.run, "been cancelled")

    def _concern_runs(self, command: StartNested | CancelNested | RunSettled) -> None:
        self._out.append(command)
        self.concerns_runs = True

    # --- stars that move --------------------------------------------------------------------------------------------

    def _follow(self, changes: Changes) -> None:
        """See to the stars that a change of the graph has moved."""
        if not (changes.ready or changes.settled or changes.unready):
            return
        for star in changes.unready:
            self._unqueue(star)
        for star in changes.settled:
            outcome = self.graph.outcome(star)
            assert outcome is not None
            state = self.graph.state(star)
            if state is StarState.FAILED:
                self._failed.append(star)
            self.tries.pop(star, None)
            self._out.append(StarSettled(self.run, star, state, outcome))
        self._newly_ready.extend(changes.ready)
        if self._following:
            return
        # A star can fail as it becomes ready and so move others: a loop, since a chain of those can be of any length.
        self._following = True
        while self._newly_ready:
            self._make_ready(self._newly_ready.popleft())
        self._following = False

    def _make_ready(self, star: StarId) -> None:
        """Resolve a ready star's references, and queue or begin it."""
        node = self.graph._nodes[star]
        spec = node.star
        arguments = spec.work.arguments
        if node.references:
            try:
                arguments = resolve_references(arguments, node.references, self._value_of)
            except ReferenceFault as error:
                self._settle(star, StarState.FAILED, error=StarError("ReferenceFault", str(error)))
                return
        tries = self.tries.get(star)
        if tries is None:
            tries = self.tries[star] = Tries(spec, arguments)
        else:
            tries.spec, tries.arguments = spec, arguments
        if not tries.waiting:
            self._begin(star, tries)

    def _value_of(self, reference: Reference) -> Any:
        """What a reference stands for; nothing when its star did not succeed, which a `completion` line allows."""
        if self.graph.state(reference.star) is not StarState.SUCCEEDED:
            return None
        outcome = self.graph.outcome(reference.star)
        return point_into(outcome.output if outcome else None, reference)

    def _begin(self, star: StarId, tries: Tries) -> None:
        spec = tries.spec
        if isinstance(spec.work, (ToolCall, Prompt)):
            self.desk.queue(spec, tries.avoid)
        elif self.state == "paused":
            self._parked[star] = None
        else:
            tries.attempts += 1
            self.graph.enter(star, StarState.RUNNING)
            if spec.timeout_s is not None:
                self.desk.start_timer(f"wait:{star}", self.at + spec.timeout_s)
            self._begin_without_device(spec)

    def _begin_without_device(self, spec: TaskStar) -> None:
        """Ask a person, or start a nested run; neither holds a slot."""
        arguments = self.tries[spec.id].arguments
        if isinstance(spec.work, Approval):
            self._out.append(AskApproval(self.run, spec.id, spec.work.question, arguments))
        else:
            assert isinstance(spec.work, Nested)
            try:
                document = fill_inputs(spec.work.constellation, arguments)
            except ReferenceFault as error:
                self._settle(spec.id, StarState.FAILED, error=StarError("ReferenceFault", str(error)))
                return
            self._concern_runs(StartNested(self.run, spec.id, self.nested_run(spec.id), document))

    def _settle(
        self,
        star: StarId,
        state: StarState,
        *,
        output: Any = None,
        error: StarError | None = None,
        attempt: Attempt | None = None,
        begun: AttemptId | None = None,
        reviewed: bool = True,
    ) -> None:
        tries = self.tries.pop(star, None)
        made = tries.attempts if tries else 0
        if attempt is not None:
            outcome = Outcome(output, error, attempt.device, made, attempt.assigned_at, self.at)
        else:
            outcome = Outcome(output, error, None, made, None, self.at)
        if state is StarState.FAILED:
            self._failed.append(star)
        reviewed = reviewed and self.review and self._closing is None and state is not StarState.CANCELLED
        if reviewed:
            self.graph.hold(star)
            self._reviews[star] = None
        changes = self.graph.settle(star, state, outcome, at=self.at)
        self._out.append(StarSettled(self.run, star, state, outcome, begun))
        if reviewed:
            self._ask_review(star)
        self._follow(changes)

    def _unqueue(self, star: StarId) -> None:
        self._parked.pop(star, None)
        tries = self.tries.get(star)
        if tries is not None and tries.waiting:
            tries.waiting = False
            self.desk.stop_timer(f"retry:{star}")
        self.desk.unqueue(star)

    def _forget(self, star: StarId) -> None:
        """A star is gone from the graph; the numbers of its attempts stay used, in case one of its name comes back."""
        tries = self.tries.pop(star, None)
        if tries is not None and tries.attempts:
            kept = self.tries[star] = Tries(tries.spec, tries.arguments)
            kept.attempts = tries.attempts
        self._holds.pop(star, None)

    def _attempt_of(self, star: StarId) -> Attempt | None:
        tries = self.tries.get(star)
        return tries.attempt if tries else None

    def nested_run(self, star: StarId) -> RunId:
        """The run that the latest try of a nested constellation is."""
        return nested_id(self.run, star, self.tries[star].attempts)

    def nearby(self, star: StarId) -> Mapping[DeviceId, int]:
        """Bytes of a star's input files by the device that made them."""
        found: dict[DeviceId, int] = {}
        for line in self.graph.lines_into(star):
            size = self.artifact_bytes.get(line.source)
            outcome = self.graph.outcome(line.source)
            if size and outcome is not None and outcome.device is not None:
                device = DeviceId(outcome.device)
                found[device] = found.get(device, 0) + size
        return found

    # --- reviews and holds ------------------------------------------------------------------------------------------

    def _ask_review(self, star: StarId) -> None:
        self.desk.start_timer(f"review:{star}", self.at + self.options.review_timeout_s)
        self._out.append(RequestReview(self.run, star))

    def _end_review(self, star: StarId) -> bool:
        if star not in self._reviews:
            return False
        del self._reviews[star]
        self.desk.stop_timer(f"review:{star}")
        self._follow(self.graph.release(star, at=self.at))
        return True

    def _release(self, star: StarId) -> bool:
        """Take one hold back that someone took; a review has its own end."""
        holds = self._holds.get(star, 0)
        if not holds:
            return False
        if holds == 1:
            del self._holds[star]
        else:
            self._holds[star] = holds - 1
        self._follow(self.graph.release(star, at=self.at))
        return True

    # --- conditions -------------------------------------------------------------------------------------------------

    def _evaluate(self, line: TaskStarLine, output: Any) -> bool:
        """Evaluate a condition, or take what it came to from the journal."""
        key = f"{line.source}>{line.target}"
        verdict = self._recorded.get(key)
        if verdict is None:
            assert line.when is not None
            try:
                verdict = evaluate_condition(line.when, output)
            except ConditionError as error:
                verdict = str(error)
        if self._verdicts is None:
            self._verdicts = {}
        self._verdicts[key] = verdict
        if isinstance(verdict, str):
            raise ConditionError(verdict)
        return verdict


def _refuse_in_flight(graph: TaskConstellation) -> None:
    """A run may begin with stars that have ended, not with ones that some other run has with its devices."""
    if graph.counts[StarState.PENDING] == len(graph):
        return
    for star in graph:
        state = graph.state(star)
        if state in IN_FLIGHT:
            problem = f"the star is {state.value} elsewhere; remove its record to run it anew, or resume the other run"
            raise InvalidDocument(problem, path=("records", star))
        if state is StarState.READY:
            graph.enter(star, StarState.PENDING)
