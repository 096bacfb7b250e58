"""The state machine of one run: `apply(event, out)` takes an event in and appends the commands that follow from it.

It is deterministic and does nothing else: replaying a run's events gives the same state again. An event that is about
nothing current (a stale fence, a timer of something that is over) changes nothing, yields no entry for the journal, and
is counted in `stale`. An event that can't be taken (an edit that does not fit) raises, and changes nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from ..graph import (
    SETTLED,
    Approval,
    EditBatch,
    Nested,
    StarError,
    StarId,
    StarState,
    Trigger,
)
from . import events as ev
from .attempt_rules import AttemptRules
from .attempts import StopCause
from .commands import (
    AskApproval,
    CancelNested,
    Command,
    EditApplied,
    ProposalSettled,
    RunSettled,
)
from .errors import NotWaiting
from .events import NO_VERDICTS, AttemptId, JournalEntry, RunEvent, Verdicts
from .quiescence import explain_waiting
from .retry import is_retryable

RECONCILE_S = 15.0
"""How long after a restart a device may take to come back and say what it is doing, before its attempts are lost."""


class RunMachine(AttemptRules):
    """One run; see `RunState` for what can be read of it."""

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
        self.at, self._out, self._recorded, self._verdicts = event.at, out, recorded, None
        if not _HANDLERS[type(event)](self, event):
            self.stale += 1
            return None
        if not self.attempts:
            self._see_to_the_end()
        return JournalEntry(event, self._verdicts or NO_VERDICTS)

    # --- the run ----------------------------------------------------------------------------------------------------

    def _started(self, event: ev.RunStarted) -> bool:
        if self.options.deadline_s is not None:
            self.desk.start_timer("deadline", event.at + self.options.deadline_s)
        self._follow(self.graph.activate(at=event.at))
        return True

    def _recovered(self, event: ev.RunRecovered) -> bool:
        if self.ended:
            return False
        reconciled_at = event.at + RECONCILE_S
        for attempt in self.attempts.values():
            attempt.unconfirmed = attempt.recovered = True
            attempt.idempotent = attempt.idempotent or event.rerun
            if attempt.overdue_at is not None and attempt.overdue_at < reconciled_at:
                # The device may well hold its result; let it come back with that first.
                self._watch_timeout(attempt, reconciled_at)
        if self.attempts:
            self.desk.start_timer("reconcile", reconciled_at)
        waiting = [
            star
            for star in self.graph
            if self.graph.state(star) is StarState.RUNNING and self._attempt_of(star) is None
        ]
        self.review = event.review
        self.planning.restarted()
        # Who asked is gone; whoever plans now decides anew, and asks again if need be.
        for proposal in list(self.planning.proposals):
            self._settle_proposal(proposal, False, "", "the orchestrator was restarted")
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
            self._begin(star, self.tries[star])
        return True

    def _edited(self, event: ev.GraphEdited) -> bool:
        self._refuse_after_end()
        batch: EditBatch = event.batch
        applied = self.graph.apply(batch, at=event.at)
        self.desk.graph_edited(applied)
        self.planning.edited(batch)
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
        for proposal in list(self.planning.proposals):
            self._settle_proposal(proposal, False, "", error.message)
        for star in list(self._reviews):
            self._end_review(star)
        for star, holds in list(self._holds.items()):
            for _ in range(holds):
                self._release(star)

    def _see_to_the_end(self) -> None:
        """End the run, with no attempt under way, if nothing else is going on either."""
        if self._holds or self._reviews or self.ended:
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
        self.error = error
        self.desk.stop_timer("deadline")
        self.desk.run_ended()
        self._concern_runs(RunSettled(self.run, self.state, error))

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

    # --- timers -----------------------------------------------------------------------------------------------------

    def _timer_fired(self, event: ev.TimerFired) -> bool:
        kind, _, subject = event.timer.partition(":")
        star = StarId(subject)
        if kind == "retry":
            tries = self.tries.get(star)
            if tries is None or not tries.waiting:
                return False
            tries.waiting = False
            self._begin(star, tries)
        elif kind in ("timeout", "cancel"):
            attempt = self.attempts.get(AttemptId(subject))
            if attempt is None or (kind == "timeout") is (attempt.stopping is not None):
                return False
            if kind == "timeout":
                limit = self.graph[attempt.star].timeout_s
                self._stop_attempt(attempt, StopCause.TIMEOUT, f"it took longer than {_seconds(limit)}")
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
            message = f"the run took longer than its deadline of {_seconds(self.options.deadline_s)}"
            self._close("failed", StarError("DeadlineExceeded", message))
        else:
            return False
        return True

    def _wait_timed_out(self, star: StarId) -> bool:
        if star not in self.graph or self.graph.state(star) is not StarState.RUNNING:
            return False
        spec = self.graph[star]
        if isinstance(spec.work, Nested):
            tries = self.tries[star]
            self._concern_runs(CancelNested(self.run, star, self.nested_run(star), "timed out"))
            error = StarError("TimedOut", f"it took longer than {_seconds(spec.timeout_s)}")
            if is_retryable(spec.retry, tries.failures + 1, error.type):
                # Two runs of it at once would do the work twice, so the next one waits for the end of this.
                tries.overdue = error
                return True
        else:
            error = StarError(
                "ApprovalTimedOut", f"nobody answered within {_seconds(spec.timeout_s)}, which counts as a no"
            )
        self._settle(star, StarState.FAILED, error=error)
        return True

    # --- holds and answers ------------------------------------------------------------------------------------------

    def _hold_taken(self, event: ev.HoldTaken) -> bool:
        self._refuse_after_end()
        self.graph.hold(event.star)
        self._holds[event.star] = self._holds.get(event.star, 0) + 1
        return True

    def _hold_released(self, event: ev.HoldReleased) -> bool:
        return self._end_review(event.star) or self._release(event.star)

    def _approval_answered(self, event: ev.ApprovalAnswered) -> bool:
        star = event.star
        if star in self.planning.proposals:
            self._settle_proposal(star, event.approved, event.by, event.comment)
            return True
        waiting = star in self.graph and self.graph.state(star) is StarState.RUNNING
        if not waiting or not isinstance(self.graph[star].work, Approval):
            raise NotWaiting(star)
        self.desk.stop_timer(f"wait:{star}")
        if event.approved:
            output = {"approved": True, "by": event.by, "comment": event.comment}
            self._settle(star, StarState.SUCCEEDED, output=output)
        else:
            by = f" by {event.by}" if event.by else ""
            comment = f": {event.comment}" if event.comment else ""
            self._settle(star, StarState.FAILED, error=StarError("ApprovalDenied", f"denied{by}{comment}"))
        return True

    def _proposal_made(self, event: ev.ProposalMade) -> bool:
        self._refuse_after_end()
        if event.proposal in self.planning.proposals:
            return False
        self.planning.proposals[event.proposal] = None
        self.planning.asked += 1
        self._out.append(AskApproval(self.run, event.proposal, event.question, event.arguments))
        return True

    def _proposal_withdrawn(self, event: ev.ProposalWithdrawn) -> bool:
        if event.proposal not in self.planning.proposals:
            return False
        self._settle_proposal(event.proposal, False, "", event.reason or "withdrawn")
        return True

    def _settle_proposal(self, proposal: StarId, approved: bool, by: str, comment: str) -> None:
        del self.planning.proposals[proposal]
        self._out.append(ProposalSettled(self.run, proposal, approved, by, comment))

    def _planner_noted(self, event: ev.PlannerNoted) -> bool:
        if self.ended:
            return False
        self.planning.take(event)
        return True

    def _nested_ended(self, event: ev.NestedEnded) -> bool:
        star = event.star
        if star not in self.graph or self.graph.state(star) is not StarState.RUNNING:
            return False
        if event.child and event.child != self.nested_run(star):
            return False
        self.desk.stop_timer(f"wait:{star}")
        if event.error is None:
            self._settle(star, StarState.SUCCEEDED, output=event.output)
        else:
            self._fail_nested(star, self.tries[star].overdue or event.error)
        return True


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
        ev.ProposalMade: RunMachine._proposal_made,
        ev.ProposalWithdrawn: RunMachine._proposal_withdrawn,
        ev.PlannerNoted: RunMachine._planner_noted,
        ev.NestedEnded: RunMachine._nested_ended,
        ev.RunRecovered: RunMachine._recovered,
    },
)


def _seconds(limit: float | None) -> str:
    """A limit in words, the same for one that was given as a whole number, which is none after a replay."""
    return f"{limit if limit is None else float(limit)} s"
