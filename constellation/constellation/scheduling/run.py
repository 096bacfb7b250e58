"""The state machine of one run: `apply(event, out)` takes an event in and appends the commands that follow from it.

It is deterministic and does nothing else: replaying a run's events gives the same state again. An event that is about
nothing current (a stale fence, a timer of something that is over) changes nothing, yields no entry for the journal, and
is counted in `stale`. An event that can't be taken (an edit that does not fit) raises, and changes nothing either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..graph import (
    IN_FLIGHT,
    OPEN,
    SETTLED,
    Approval,
    Changes,
    ConditionError,
    EditBatch,
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
    Trigger,
)
from ..graph.conditions import evaluate_condition
from ..graph.documents import load
from ..graph.references import point_into, resolve_references
from . import events as ev
from .attempts import Attempt, StopCause, Tries
from .commands import (
    AskApproval,
    CancelAttempt,
    CancelNested,
    Command,
    Dispatch,
    EditApplied,
    QueueStar,
    RequestReview,
    RunSettled,
    StarRetrying,
    StarSettled,
    StarStarted,
    StartNested,
    StartTimer,
    StopTimer,
    UnqueueStar,
)
from .errors import NotWaiting, RunEnded
from .events import NO_VERDICTS, AttemptId, JournalEntry, RunEvent, RunId, Verdicts
from .expansion import fill_inputs
from .quiescence import explain_waiting
from .retry import delay_s, is_retryable

BUSY_DELAY_S = 0.25
"""How long a star waits after a device had no slot for it, or was draining: what the fleet knows will soon be right."""

OUTCOME_UNKNOWN = "AttemptOutcomeUnknown"
"""The type of the error of work that may or may not have been done."""

RECONCILE_S = 15.0
"""How long after a restart a device may take to come back and say what it is doing, before its attempts are lost."""


class RunMachine:
    """One run.

    Attributes:
        run: Its id.
        graph: Its graph, with the states of the stars.
        options: How it is carried out.
        parent: For the run of a nested constellation, the run and the star that it belongs to.
        state: `running`, `paused`, `succeeded`, `failed` or `cancelled`.
        at: When the last event happened.
        stale: How many events came too late to mean anything.
    """

    def __init__(self, started: ev.RunStarted) -> None:
        """Make a run; raises InvalidDocument when the event's graph is none."""
        self.run: RunId = started.run
        self.graph: TaskConstellation = load(started.graph)
        _refuse_in_flight(self.graph)
        self.options = started.options
        self.parent = started.parent
        self.state = "running"
        self.stale = 0
        self.review = started.options.review
        self.artifact_bytes: dict[StarId, int] = {}
        self.attempts: dict[AttemptId, Attempt] = {}
        self.tries: dict[StarId, Tries] = {}
        self._holds: dict[StarId, int] = {}
        self._reviews: dict[StarId, None] = {}
        self._parked: dict[StarId, None] = {}
        self._failed = [star for star in self.graph if self.graph.state(star) is StarState.FAILED]
        self._newly_ready: deque[StarId] = deque()
        self._following = False
        self._closing: tuple[str, StarError] | None = None
        self.at = started.at
        self._out: list[Command] = []
        self._recorded: Verdicts = NO_VERDICTS
        self._verdicts: dict[str, bool | str] = {}
        self.graph.evaluate = self._evaluate

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state not in ("running", "paused")

    @property
    def closing(self) -> bool:
        """Whether the run is over, or about to be: it takes no requests any more."""
        return self._closing is not None or self.ended

    def apply(self, event: RunEvent, out: list[Command], recorded: Verdicts = NO_VERDICTS) -> JournalEntry | None:
        """Take an event in.

        Args:
            event: What has happened.
            out: Where commands are appended.
            recorded: What conditions came to when the event was first taken in, on a replay.

        Returns:
            What to write to the journal; None when the event was about nothing current.

        Raises:
            EditRejected: an edit does not fit.
            RunEnded: a request came after the end.
            NotWaiting: an approval was answered that nobody waits for.
        """
        self.at, self._out, self._recorded, self._verdicts = event.at, out, recorded, {}
        if not _HANDLERS[type(event)](self, event):
            self.stale += 1
            return None
        self._see_to_the_end()
        return JournalEntry(event, self._verdicts) if self._verdicts else JournalEntry(event)

    # --- the run -------------------------------------------------------------------------------------------------

    def _started(self, event: ev.RunStarted) -> bool:
        if self.options.deadline_s is not None:
            self._out.append(StartTimer(self.run, "deadline", event.at + self.options.deadline_s))
        self._follow(self.graph.activate(at=event.at))
        return True

    def _recovered(self, event: ev.RunRecovered) -> bool:
        if self.ended:
            return False
        reconciled_at = event.at + RECONCILE_S
        for attempt in self.attempts.values():
            attempt.unconfirmed = True
            attempt.idempotent = attempt.idempotent or event.rerun
            if attempt.overdue_at is not None and attempt.overdue_at < reconciled_at:
                # The device may well hold its result; let it come back with that first.
                self._watch_timeout(attempt, reconciled_at)
        if self.attempts:
            self._out.append(StartTimer(self.run, "reconcile", reconciled_at))
        waiting = [
            star
            for star in self.graph
            if self.graph.state(star) is StarState.RUNNING and self._attempt_of(star) is None
        ]
        self.review = event.review
        for star in list(self._reviews):
            if self.review:
                self._ask_review(star)
            else:
                self._end_review(star)
        for star in waiting:
            self._begin_without_device(self.graph[star])
        return True

    def _paused(self, event: ev.RunPaused) -> bool:
        self._refuse_after_end()
        if self.state == "paused":
            return False
        self.state = "paused"
        return True

    def _unpaused(self, event: ev.RunUnpaused) -> bool:
        self._refuse_after_end()
        if self.state != "paused":
            return False
        self.state = "running"
        for star in list(self._parked):
            del self._parked[star]
            self._begin(star)
        return True

    def _edited(self, event: ev.GraphEdited) -> bool:
        self._refuse_after_end()
        batch: EditBatch = event.batch
        applied = self.graph.apply(batch, at=event.at)
        self._out.append(EditApplied(self.run, applied, batch.author, batch.reason))
        became_ready = set(applied.changes.ready)
        for star in applied.removed:
            self._unqueue(star)
            self._forget(star)
        self._follow(applied.changes)
        for star in applied.touched:
            if star not in self.graph:
                continue
            tries = self.tries.get(star)
            if tries is not None:
                # A device that refused the star as it was may take it as it is now.
                tries.avoid = frozenset()
            if self.graph.state(star) is StarState.READY and star not in became_ready:
                self._unqueue(star)
                self._make_ready(star)
        for star in applied.cancels:
            self._stop_star(star, batch.reason or "removed by an edit")
        return True

    def _cancel_requested(self, event: ev.CancelRequested) -> bool:
        self._refuse_after_end()
        reason = event.reason or "cancelled"
        if event.star is None:
            self._close("cancelled", StarError("Cancelled", reason))
            return True
        stars = [event.star]
        if event.subtree:
            wanted = self.graph.descendants(event.star)
            stars += [star for star in self.graph.in_order() if star in wanted]
        stopped = False
        for star in reversed(stars):
            if self.graph.state(star) not in SETTLED:
                self._stop_star(star, reason)
                stopped = True
        return stopped

    def _close(self, state: str, error: StarError) -> None:
        """Bring the run to an early end: stop what runs, cancel what has not begun."""
        self._closing = (state, error)
        # From the ends of the graph backwards, so that no star becomes ready because one before it was cancelled.
        for star in reversed(self.graph.in_order()):
            if self.graph.state(star) not in SETTLED:
                self._stop_star(star, error.message)
        for star in list(self._reviews):
            self._end_review(star)
        for star, holds in list(self._holds.items()):
            for _ in range(holds):
                self._release(star)

    def _refuse_after_end(self) -> None:
        if self.ended:
            raise RunEnded(self.run, self.state)
        if self._closing:
            raise RunEnded(self.run, "been cancelled")

    def _see_to_the_end(self) -> None:
        if self.attempts or self._holds or self._reviews or self.ended:
            return
        counts = self.graph.counts
        if counts[StarState.RUNNING] or counts[StarState.READY]:
            return
        if counts[StarState.PENDING]:
            self._end_stuck()
        error: StarError | None
        if self._closing:
            self.state, error = self._closing
        else:
            failed = [star for star in self._failed if not self._is_handled(star)]
            self.state = "failed" if failed else "succeeded"
            error = StarError("RunFailed", f"{len(failed)} star(s) failed", {"stars": failed}) if failed else None
        self._out.append(StopTimer(self.run, "deadline"))
        self._out.append(RunSettled(self.run, self.state, error))

    def _end_stuck(self) -> None:
        """Nothing runs and nothing can become ready: say what each star waits for, and end."""
        waiting = explain_waiting(self.graph)
        for star in reversed(self.graph.in_order()):
            if self.graph.state(star) is StarState.PENDING:
                self._settle(star, StarState.FAILED, error=StarError("Stuck", waiting[star]), reviewed=False)

    def _is_handled(self, star: StarId) -> bool:
        """Whether a failure was foreseen: a star that waits for it has succeeded."""
        return any(
            line.trigger is Trigger.FAILURE and self.graph.state(line.target) is StarState.SUCCEEDED
            for line in self.graph.lines_from(star)
        )

    # --- stars -----------------------------------------------------------------------------------------------------

    def _follow(self, changes: Changes) -> None:
        """See to the stars that a change of the graph has moved."""
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
        tries = self.tries.get(star)
        if tries is None:
            tries = self.tries[star] = Tries()
        node = self.graph._node(star)
        try:
            tries.arguments = resolve_references(node.star.work.arguments, node.references, self._value_of)
        except ReferenceFault as error:
            self._settle(star, StarState.FAILED, error=StarError("ReferenceFault", str(error)))
            return
        if not tries.waiting:
            self._begin(star)

    def _value_of(self, reference: Reference) -> Any:
        """What a reference stands for; nothing when its star did not succeed, which a `completion` line allows."""
        if self.graph.state(reference.star) is not StarState.SUCCEEDED:
            return None
        outcome = self.graph.outcome(reference.star)
        return point_into(outcome.output if outcome else None, reference)

    def _begin(self, star: StarId) -> None:
        spec = self.graph[star]
        if isinstance(spec.work, (ToolCall, Prompt)):
            self._out.append(QueueStar(self.run, star))
        elif self.state == "paused":
            self._parked[star] = None
        else:
            self.tries[star].attempts += 1
            self.graph.enter(star, StarState.RUNNING)
            if spec.timeout_s is not None:
                self._out.append(StartTimer(self.run, f"wait:{star}", self.at + spec.timeout_s))
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
            self._out.append(StartNested(self.run, spec.id, document))

    def _settle(
        self,
        star: StarId,
        state: StarState,
        *,
        output: Any = None,
        error: StarError | None = None,
        attempt: Attempt | None = None,
        reviewed: bool = True,
    ) -> None:
        tries = self.tries.pop(star, None)
        outcome = Outcome(
            output=output,
            error=error,
            device=attempt.device if attempt else None,
            attempts=tries.attempts if tries else 0,
            started_at=attempt.assigned_at if attempt else None,
            ended_at=self.at,
        )
        if state is StarState.FAILED:
            self._failed.append(star)
        reviewed = reviewed and self.review and self._closing is None and state is not StarState.CANCELLED
        if reviewed:
            self.graph.hold(star)
            self._reviews[star] = None
        changes = self.graph.settle(star, state, outcome, at=self.at)
        self._out.append(StarSettled(self.run, star, state, outcome))
        if reviewed:
            self._ask_review(star)
        self._follow(changes)

    def _stop_star(self, star: StarId, reason: str) -> None:
        """End a star that has not ended: at once, or by way of its device."""
        state = self.graph.state(star)
        if state in IN_FLIGHT:
            attempt = self._attempt_of(star)
            if attempt is not None:
                self._stop_attempt(attempt, StopCause.CANCEL, reason)
                return
            self._out.append(StopTimer(self.run, f"wait:{star}"))
            if isinstance(self.graph[star].work, Nested):
                self._out.append(CancelNested(self.run, star, reason))
        elif state in OPEN:
            self._unqueue(star)
        self._settle(star, StarState.CANCELLED, error=StarError("Cancelled", reason))

    def _unqueue(self, star: StarId) -> None:
        self._parked.pop(star, None)
        tries = self.tries.get(star)
        if tries is not None and tries.waiting:
            tries.waiting = False
            self._out.append(StopTimer(self.run, f"retry:{star}"))
        self._out.append(UnqueueStar(self.run, star))

    def _forget(self, star: StarId) -> None:
        """A star is gone from the graph; the numbers of its attempts stay used, in case one of its name comes back."""
        tries = self.tries.pop(star, None)
        if tries is not None and tries.attempts:
            kept = self.tries[star] = Tries()
            kept.attempts = tries.attempts
        self._holds.pop(star, None)

    # --- attempts --------------------------------------------------------------------------------------------------

    def _assigned(self, event: ev.StarAssigned) -> bool:
        star = event.star
        tries = self.tries.get(star)
        if (
            tries is None
            or tries.attempt is not None
            or tries.waiting
            or star not in self.graph
            or self.graph.state(star) is not StarState.READY
            or event.attempt != ev.attempt_id(self.run, star, tries.attempts + 1)
        ):
            return False
        tries.attempts += 1
        attempt = Attempt(
            event.attempt,
            star,
            event.device,
            event.epoch,
            idempotent=event.idempotent,
            memory=event.memory,
            assigned_at=event.at,
        )
        tries.attempt = self.attempts[attempt.id] = attempt
        self.graph.enter(star, StarState.ASSIGNED)
        self._out.append(Dispatch(self.run, self.graph[star], attempt.id, event.device, event.epoch, tries.arguments))
        return True

    def _fenced(self, event: Any) -> Attempt | None:
        """The live attempt that an event is about, when its fence is the present one."""
        attempt = self.attempts.get(event.attempt)
        if attempt is None or attempt.device != event.device or attempt.epoch != event.epoch:
            return None
        return attempt

    def _attempt_started(self, event: ev.AttemptStarted) -> bool:
        attempt = self._fenced(event)
        if attempt is None or attempt.started:
            return False
        attempt.started = True
        self.graph.enter(attempt.star, StarState.RUNNING)
        timeout_s = self.graph[attempt.star].timeout_s
        if timeout_s is not None and attempt.stopping is None:
            self._watch_timeout(attempt, event.at + timeout_s + self.options.timeout_margin_s)
        self._out.append(StarStarted(self.run, attempt.star, attempt.id, attempt.device))
        return True

    def _rejected(self, event: ev.AttemptRejected) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        if attempt.started or event.code == "duplicate":
            # It has begun with it at some time, and nobody knows what came of that.
            self._lose(attempt, f"device {attempt.device!r} rejected it after it had begun with it ({event.code})")
            return True
        self._end_attempt(attempt)
        if attempt.stopping:
            self._stopped(attempt, confirmed=True)
            return True
        busy = event.code in ("no-slot", "draining")
        if not busy:
            self.tries[attempt.star].avoid |= {attempt.device}
        error = StarError("Rejected", f"device {attempt.device!r} did not take it ({event.code}): {event.message}")
        self._requeue(attempt, error, BUSY_DELAY_S if busy else 0.0)
        return True

    def _succeeded(self, event: ev.AttemptSucceeded) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        self._end_attempt(attempt)
        if attempt.stopping is StopCause.CANCEL:
            self._stopped(attempt, confirmed=True)
            return True
        # A result that overtook the stop for a timeout counts: to throw it away would be to do the work twice.
        if event.artifact_bytes > 0:
            self.artifact_bytes[attempt.star] = event.artifact_bytes
        self._settle(attempt.star, StarState.SUCCEEDED, output=event.output, attempt=attempt)
        return True

    def _attempt_failed(self, event: ev.AttemptFailed) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        if event.error.type == OUTCOME_UNKNOWN:
            # The device itself was killed in the middle of it, and came back.
            self._lose(attempt, event.error.message)
            return True
        self._end_attempt(attempt)
        if attempt.stopping:
            self._stopped(attempt, confirmed=True)
        else:
            self._fail(attempt, event.error)
        return True

    def _attempt_cancelled(self, event: ev.AttemptCancelled) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        if attempt.stopping:
            self._end_attempt(attempt)
            self._stopped(attempt, confirmed=True)
        else:
            self._lose(attempt, f"device {attempt.device!r} stopped it by itself")
        return True

    def _lost(self, event: ev.AttemptLost) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        self._lose(attempt, event.reason, begun=event.begun)
        return True

    def _lose(self, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
        self._end_attempt(attempt)
        tries = self.tries[attempt.star]
        if attempt.stopping is StopCause.CANCEL:
            self._stopped(attempt, confirmed=False)
        elif not begun:
            self._requeue(attempt, StarError("NotDelivered", reason), 0.0)
        elif not attempt.idempotent:
            message = (
                f"{reason}; it may or may not have done its work on {attempt.device!r}, and is not declared "
                "idempotent, so it was not run again: look at its effects and decide, or declare the star or its tool "
                "idempotent"
            )
            self._settle(attempt.star, StarState.FAILED, error=StarError(OUTCOME_UNKNOWN, message), attempt=attempt)
        elif tries.losses >= self.options.max_losses:
            message = f"{reason}; it has lost its device {tries.losses + 1} times, so it was not given to another"
            self._settle(attempt.star, StarState.FAILED, error=StarError("DeviceLost", message), attempt=attempt)
        else:
            tries.losses += 1
            self._requeue(attempt, StarError("DeviceLost", reason), 0.0)

    def _adopted(self, event: ev.AttemptAdopted) -> bool:
        attempt = self.attempts.get(event.attempt)
        if attempt is None or attempt.device != event.device or event.epoch <= attempt.epoch:
            return False
        attempt.epoch = event.epoch
        attempt.unconfirmed = False
        if attempt.stopping:
            self._out.append(self._cancel_command(attempt))
        return True

    def _placement_failed(self, event: ev.PlacementFailed) -> bool:
        if event.star not in self.graph or self.graph.state(event.star) is not StarState.READY:
            return False
        self._unqueue(event.star)
        self._settle(event.star, StarState.FAILED, error=StarError("NoDevice", event.reason))
        return True

    def _attempt_of(self, star: StarId) -> Attempt | None:
        tries = self.tries.get(star)
        return tries.attempt if tries else None

    def _end_attempt(self, attempt: Attempt) -> None:
        del self.attempts[attempt.id]
        self.tries[attempt.star].attempt = None
        if attempt.stopping:
            self._out.append(StopTimer(self.run, f"cancel:{attempt.id}"))
        if attempt.overdue_at is not None:
            self._out.append(StopTimer(self.run, f"timeout:{attempt.id}"))

    def _watch_timeout(self, attempt: Attempt, due_at: float) -> None:
        attempt.overdue_at = due_at
        self._out.append(StartTimer(self.run, f"timeout:{attempt.id}", due_at))

    def _fail(self, attempt: Attempt, error: StarError) -> None:
        """A try has failed by itself: try again as the star's policy has it, or end the star."""
        tries, policy = self.tries[attempt.star], self.graph[attempt.star].retry
        tries.failures += 1
        if is_retryable(policy, tries.failures, error.type):
            self._requeue(attempt, error, delay_s(policy, tries.failures, attempt.id))
        else:
            self._settle(attempt.star, StarState.FAILED, error=error, attempt=attempt)

    def _requeue(self, attempt: Attempt, error: StarError, delay: float) -> None:
        star = attempt.star
        self.graph.enter(star, StarState.READY)
        self._out.append(StarRetrying(self.run, star, attempt.id, attempt.device, error, delay))
        if delay > 0:
            self.tries[star].waiting = True
            self._out.append(StartTimer(self.run, f"retry:{star}", self.at + delay))
        else:
            self._out.append(QueueStar(self.run, star))

    def _stop_attempt(self, attempt: Attempt, cause: StopCause, reason: str) -> None:
        """Tell the device to stop, and give it until a deadline to say that it has."""
        if attempt.stopping is not StopCause.CANCEL:
            first = attempt.stopping is None
            attempt.stopping, attempt.reason = cause, reason
            if first:
                self._out.append(self._cancel_command(attempt))
                due = self.at + self.options.cancel_grace_s
                self._out.append(StartTimer(self.run, f"cancel:{attempt.id}", due))

    def _cancel_command(self, attempt: Attempt) -> CancelAttempt:
        grace = self.options.cancel_grace_s / 2
        return CancelAttempt(self.run, attempt.star, attempt.id, attempt.device, attempt.epoch, attempt.reason, grace)

    def _stopped(self, attempt: Attempt, *, confirmed: bool) -> None:
        """An attempt that was being stopped is over, by the device's word or because its time for that ran out."""
        if attempt.stopping is StopCause.CANCEL:
            note = "" if confirmed else f" (device {attempt.device!r} did not confirm that it stopped)"
            error = StarError("Cancelled", attempt.reason + note)
            self._settle(attempt.star, StarState.CANCELLED, error=error, attempt=attempt)
        elif confirmed or attempt.idempotent:
            self._fail(attempt, StarError("TimedOut", attempt.reason))
        else:
            message = f"{attempt.reason}, and device {attempt.device!r} did not confirm that it stopped"
            self._settle(attempt.star, StarState.FAILED, error=StarError("TimedOut", message), attempt=attempt)

    # --- timers, holds, answers ------------------------------------------------------------------------------------

    def _timer_fired(self, event: ev.TimerFired) -> bool:
        kind, _, subject = event.timer.partition(":")
        star = StarId(subject)
        if kind == "retry":
            tries = self.tries.get(star)
            if tries is None or not tries.waiting:
                return False
            tries.waiting = False
            self._begin(star)
        elif kind in ("timeout", "cancel"):
            attempt = self.attempts.get(AttemptId(subject))
            if attempt is None or (kind == "timeout") is (attempt.stopping is not None):
                return False
            if kind == "timeout":
                limit = self.graph[attempt.star].timeout_s
                self._stop_attempt(attempt, StopCause.TIMEOUT, f"it took longer than {limit} s")
            else:
                self._end_attempt(attempt)
                self._stopped(attempt, confirmed=False)
        elif kind == "wait":
            return self._wait_timed_out(star)
        elif kind == "review":
            return self._end_review(star)
        elif kind == "reconcile":
            unconfirmed = [attempt for attempt in self.attempts.values() if attempt.unconfirmed]
            for attempt in unconfirmed:
                self._lose(attempt, f"device {attempt.device!r} did not come back after the orchestrator's restart")
            return bool(unconfirmed)
        elif kind == "deadline" and not self.ended and not self._closing:
            message = f"the run took longer than its deadline of {self.options.deadline_s} s"
            self._close("failed", StarError("DeadlineExceeded", message))
        else:
            return False
        return True

    def _wait_timed_out(self, star: StarId) -> bool:
        if star not in self.graph or self.graph.state(star) is not StarState.RUNNING:
            return False
        spec = self.graph[star]
        if isinstance(spec.work, Nested):
            self._out.append(CancelNested(self.run, star, "timed out"))
            error = StarError("TimedOut", f"it took longer than {spec.timeout_s} s")
        else:
            error = StarError("ApprovalTimedOut", f"nobody answered within {spec.timeout_s} s, which counts as a no")
        self._settle(star, StarState.FAILED, error=error)
        return True

    def _hold_taken(self, event: ev.HoldTaken) -> bool:
        self._refuse_after_end()
        self.graph.hold(event.star)
        self._holds[event.star] = self._holds.get(event.star, 0) + 1
        return True

    def _hold_released(self, event: ev.HoldReleased) -> bool:
        return self._end_review(event.star) or self._release(event.star)

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

    def _ask_review(self, star: StarId) -> None:
        self._out.append(StartTimer(self.run, f"review:{star}", self.at + self.options.review_timeout_s))
        self._out.append(RequestReview(self.run, star))

    def _end_review(self, star: StarId) -> bool:
        if star not in self._reviews:
            return False
        del self._reviews[star]
        self._out.append(StopTimer(self.run, f"review:{star}"))
        self._follow(self.graph.release(star, at=self.at))
        return True

    def _approval_answered(self, event: ev.ApprovalAnswered) -> bool:
        star = event.star
        waiting = star in self.graph and self.graph.state(star) is StarState.RUNNING
        if not waiting or not isinstance(self.graph[star].work, Approval):
            raise NotWaiting(star)
        self._out.append(StopTimer(self.run, f"wait:{star}"))
        if event.approved:
            output = {"approved": True, "by": event.by, "comment": event.comment}
            self._settle(star, StarState.SUCCEEDED, output=output)
        else:
            by = f" by {event.by}" if event.by else ""
            comment = f": {event.comment}" if event.comment else ""
            self._settle(star, StarState.FAILED, error=StarError("ApprovalDenied", f"denied{by}{comment}"))
        return True

    def _nested_ended(self, event: ev.NestedEnded) -> bool:
        star = event.star
        if star not in self.graph or self.graph.state(star) is not StarState.RUNNING:
            return False
        self._out.append(StopTimer(self.run, f"wait:{star}"))
        state = StarState.SUCCEEDED if event.error is None else StarState.FAILED
        self._settle(star, state, output=event.output, error=event.error)
        return True

    # --- conditions ------------------------------------------------------------------------------------------------

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
        self._verdicts[key] = verdict
        if isinstance(verdict, str):
            raise ConditionError(verdict)
        return verdict


def _refuse_in_flight(graph: TaskConstellation) -> None:
    """A run may begin with stars that have ended, not with ones that some other run has with its devices."""
    for star in graph:
        state = graph.state(star)
        if state in IN_FLIGHT:
            problem = f"the star is {state.value} elsewhere; remove its record to run it anew, or resume the other run"
            raise InvalidDocument(problem, path=("records", star))
        if state is StarState.READY:
            graph.enter(star, StarState.PENDING)


_HANDLERS: Mapping[type, Callable[[RunMachine, Any], bool]] = cast(
    "Mapping[type, Callable[[RunMachine, Any], bool]]",
    {
        ev.RunStarted: RunMachine._started,
        ev.GraphEdited: RunMachine._edited,
        ev.StarAssigned: RunMachine._assigned,
        ev.AttemptStarted: RunMachine._attempt_started,
        ev.AttemptRejected: RunMachine._rejected,
        ev.AttemptSucceeded: RunMachine._succeeded,
        ev.AttemptFailed: RunMachine._attempt_failed,
        ev.AttemptCancelled: RunMachine._attempt_cancelled,
        ev.AttemptLost: RunMachine._lost,
        ev.AttemptAdopted: RunMachine._adopted,
        ev.PlacementFailed: RunMachine._placement_failed,
        ev.TimerFired: RunMachine._timer_fired,
        ev.RunPaused: RunMachine._paused,
        ev.RunUnpaused: RunMachine._unpaused,
        ev.CancelRequested: RunMachine._cancel_requested,
        ev.HoldTaken: RunMachine._hold_taken,
        ev.HoldReleased: RunMachine._hold_released,
        ev.ApprovalAnswered: RunMachine._approval_answered,
        ev.NestedEnded: RunMachine._nested_ended,
        ev.RunRecovered: RunMachine._recovered,
    },
)
