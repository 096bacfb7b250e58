"""The rules of attempts: how each begins, ends, is lost or is stopped, and what that means for its star.

Every rule that takes a device's word first holds the event's fence (device, session epoch, attempt) against the
attempt's own; what does not match is about something that is over.
"""

from __future__ import annotations

from typing import Any

from ..graph import (
    IN_FLIGHT,
    OPEN,
    Nested,
    StarError,
    StarId,
    StarState,
)
from . import events as ev
from .attempts import Attempt, StopCause
from .commands import (
    CancelAttempt,
    CancelNested,
    Dispatch,
    StarRetrying,
    StarStarted,
)
from .retry import delay_s, is_retryable
from .run_state import RunState

_READY, _ASSIGNED = StarState.READY, StarState.ASSIGNED
"""By names of their own: every star goes through them, and Python 3.11 looks members of enumerations up slowly."""

BUSY_DELAY_S = 0.25
"""How long a star waits after a device had no slot for it, or was draining: what the fleet knows will soon be right."""

BUSY_DOUBLINGS = 4
"""How often that delay doubles, which makes it 4 s: a device that says so again and again has others to serve."""

DEVICE_LOST = "DeviceLost"
"""The type of the error of work whose device went away in the middle of it."""

OUTCOME_UNKNOWN = "AttemptOutcomeUnknown"
"""The type of the error of work that may or may not have been done."""

UNKNOWN_STARS = "outcome_unknown"
"""Where the error of a nested constellation names the stars in it that may or may not have done their work."""


def is_outcome_unknown(error: StarError) -> bool:
    """Whether work of which an error tells, or some of it, may or may not have been done."""
    return error.type == OUTCOME_UNKNOWN or bool(error.details.get(UNKNOWN_STARS))


class AttemptRules(RunState):
    """The part of a run's state machine that deals with devices."""

    # --- from assignment to start -----------------------------------------------------------------------------------

    def _assigned(self, event: ev.StarAssigned) -> bool:
        star = event.star
        tries = self.tries.get(star)
        node = self.graph._nodes.get(star)
        if (
            tries is None
            or tries.attempt is not None
            or tries.waiting
            or event.attempt != ev.attempt_id(self.run, star, tries.attempts + 1)
            or node is None
            or node.state is not _READY
        ):
            return False
        tries.attempts += 1
        attempt = Attempt(event.attempt, star, event.device, event.epoch, event.idempotent, event.memory, event.at)
        tries.attempt = self.attempts[attempt.id] = attempt
        self.graph._enter(node, _ASSIGNED)
        self.desk.unqueue(star)
        self._out.append(self.dispatch(attempt))
        return True

    def dispatch(self, attempt: Attempt) -> Dispatch:
        """The command that sends a live attempt to its device."""
        tries = self.tries[attempt.star]
        return Dispatch(self.run, tries.spec, attempt.id, attempt.device, attempt.epoch, tries.arguments)

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
        tries = self.tries[attempt.star]
        delay = 0.0
        if event.code in ("no-slot", "draining"):
            delay = BUSY_DELAY_S * 2 ** min(tries.turned_away, BUSY_DOUBLINGS)
            tries.turned_away += 1
        else:
            tries.avoid |= {attempt.device}
        error = StarError("Rejected", f"device {attempt.device!r} did not take it ({event.code}): {event.message}")
        self._requeue(attempt.star, error, delay, attempt)
        return True

    def _adopted(self, event: ev.AttemptAdopted) -> bool:
        attempt = self.attempts.get(event.attempt)
        if attempt is None or attempt.device != event.device or event.epoch <= attempt.epoch:
            return False
        attempt.epoch = event.epoch
        attempt.unconfirmed = False
        attempt.leased_at = event.at
        if attempt.stopping:
            self._out.append(self._cancel_command(attempt))
        return True

    def expired(self, at: float) -> list[Attempt]:
        """The attempts whose lease has run out: the device that has them should have begun long ago."""
        since = at - self.options.accept_s
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.leased_at <= since and not (attempt.started or attempt.stopping or attempt.unconfirmed)
        ]

    # --- ends -------------------------------------------------------------------------------------------------------

    def _succeeded(self, event: ev.AttemptSucceeded) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        self._end_attempt(attempt)
        if attempt.stopping is StopCause.CANCEL:
            self._tell_of_start(attempt)
            self._stopped(attempt, confirmed=True)
            return True
        # A result that overtook the stop for a timeout counts: to throw it away would be to do the work twice.
        if event.artifact_bytes > 0:
            self.artifact_bytes[attempt.star] = event.artifact_bytes
        begun = None if attempt.started else attempt.id
        self._settle(attempt.star, StarState.SUCCEEDED, output=event.output, attempt=attempt, begun=begun)
        return True

    def _attempt_failed(self, event: ev.AttemptFailed) -> bool:
        attempt = self._fenced(event)
        if attempt is None:
            return False
        if event.error.type == OUTCOME_UNKNOWN:
            # The device itself was killed in the middle of it, and came back.
            self._lose(attempt, event.error.message)
            return True
        self._tell_of_start(attempt)
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

    def _placement_failed(self, event: ev.PlacementFailed) -> bool:
        if event.star not in self.graph or self.graph.state(event.star) is not StarState.READY:
            return False
        self._unqueue(event.star)
        self._settle(event.star, StarState.FAILED, error=StarError(event.type, event.reason))
        return True

    def _tell_of_start(self, attempt: Attempt) -> None:
        """A device need not accept what it has done by then: its result says that it has begun as well."""
        if not attempt.started:
            self._out.append(StarStarted(self.run, attempt.star, attempt.id, attempt.device))

    # --- what follows from an end -----------------------------------------------------------------------------------

    def _lose(self, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
        self._end_attempt(attempt)
        tries = self.tries[attempt.star]
        if attempt.stopping is StopCause.CANCEL:
            self._stopped(attempt, confirmed=False)
        elif not begun:
            self._requeue(attempt.star, StarError("NotDelivered", reason), 0.0, attempt)
        elif not attempt.idempotent:
            message = (
                f"{reason}; it may or may not have done its work on {attempt.device!r}, and is not declared "
                "idempotent, so it was not run again: look at its effects and decide, or declare the star or its tool "
                "idempotent"
            )
            self._settle(attempt.star, StarState.FAILED, error=StarError(OUTCOME_UNKNOWN, message), attempt=attempt)
        elif attempt.unconfirmed:  # it ended with its orchestrator, by which no device is lost
            self._requeue(attempt.star, StarError(DEVICE_LOST, reason), 0.0, attempt)
        elif tries.losses >= self.options.max_losses:
            message = f"{reason}; it has lost its device {tries.losses + 1} times, so it was not given to another"
            self._settle(attempt.star, StarState.FAILED, error=StarError(DEVICE_LOST, message), attempt=attempt)
        else:
            tries.losses += 1
            self._requeue(attempt.star, StarError(DEVICE_LOST, reason), 0.0, attempt)

    def _fail(self, attempt: Attempt, error: StarError) -> None:
        """A try has failed by itself: try again as the star's policy has it, or end the star."""
        tries, policy = self.tries[attempt.star], self.graph[attempt.star].retry
        tries.failures += 1
        if is_retryable(policy, tries.failures, error.type):
            self._requeue(attempt.star, error, delay_s(policy, tries.failures, attempt.id), attempt)
        else:
            self._settle(attempt.star, StarState.FAILED, error=error, attempt=attempt)

    def _fail_nested(self, star: StarId, error: StarError) -> None:
        """A try of a nested constellation has failed: run it anew as a whole, as its policy has it, or end the star."""
        tries, spec = self.tries[star], self.graph[star]
        tries.failures += 1
        may_repeat = spec.idempotent or not is_outcome_unknown(error)
        if may_repeat and is_retryable(spec.retry, tries.failures, error.type):
            child = self.nested_run(star)
            tries.overdue = None
            self._requeue(star, error, delay_s(spec.retry, tries.failures, child))
        else:
            self._settle(star, StarState.FAILED, error=error)

    def _requeue(self, star: StarId, error: StarError, delay: float, attempt: Attempt | None = None) -> None:
        self.graph.enter(star, StarState.READY)
        tried, device = (attempt.id, attempt.device) if attempt else (None, None)
        self._out.append(StarRetrying(self.run, star, tried, device, error, delay))
        tries = self.tries[star]
        if delay > 0 or attempt is None:
            # Tries that are runs of their own wait in any case: those that fail at once would begin one in another.
            tries.waiting = True
            self.desk.start_timer(f"retry:{star}", self.at + delay)
        else:
            self._begin(star, tries)

    def _end_attempt(self, attempt: Attempt) -> None:
        del self.attempts[attempt.id]
        self.tries[attempt.star].attempt = None
        if attempt.stopping:
            self.desk.stop_timer(f"cancel:{attempt.id}")
        if attempt.overdue_at is not None:
            self.desk.stop_timer(f"timeout:{attempt.id}")

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _watch_timeout(self, attempt: Attempt, due_at: float) -> None:
        attempt.overdue_at = due_at
        self.desk.start_timer(f"timeout:{attempt.id}", due_at)

    def _stop_star(self, star: StarId, reason: str) -> None:
        """End a star that has not ended: at once, or by way of its device."""
        state = self.graph.state(star)
        if state in IN_FLIGHT:
            attempt = self._attempt_of(star)
            if attempt is not None:
                self._stop_attempt(attempt, StopCause.CANCEL, reason)
                return
            self.desk.stop_timer(f"wait:{star}")
            if isinstance(self.graph[star].work, Nested):
                self._concern_runs(CancelNested(self.run, star, self.nested_run(star), reason))
        elif state in OPEN:
            self._unqueue(star)
        self._settle(star, StarState.CANCELLED, error=StarError("Cancelled", reason))

    def _stop_attempt(self, attempt: Attempt, cause: StopCause, reason: str) -> None:
        """Tell the device to stop, and give it until a deadline to say that it has."""
        if attempt.stopping is not StopCause.CANCEL:
            first = attempt.stopping is None
            attempt.stopping, attempt.reason = cause, reason
            if first:
                self._out.append(self._cancel_command(attempt))
                due = self.at + self.options.cancel_grace_s
                self.desk.start_timer(f"cancel:{attempt.id}", due)

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
