"""What the events of runs say of attempts, worked out anew, to hold what the scheduler makes of them against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..graph import StarId
from ..scheduling import AttemptId, RunEvent, RunId
from ..scheduling import events as ev

REPORTS = (ev.AttemptStarted, ev.AttemptRejected, ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCancelled)
"""What devices say of attempts."""

_ENDS = (ev.AttemptRejected, ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCancelled, ev.AttemptLost)


class History:
    """The attempts of all runs, event by event.

    Attributes:
        assigned: Each attempt with how it was assigned.
        epochs: The epoch in which each attempt was last taken over.
        leases: The attempt that each star is on, for as long as it is.
    """

    def __init__(self, events: Iterable[RunEvent] = ()) -> None:
        self.assigned: dict[AttemptId, ev.StarAssigned] = {}
        self.epochs: dict[AttemptId, int] = {}
        self.leases: dict[tuple[RunId, StarId], AttemptId] = {}
        self._unconfirmed: set[AttemptId] = set()
        for event in events:
            self.add(event)

    def add(self, event: RunEvent) -> None:
        """Take in an event that counted."""
        match event:
            case ev.StarAssigned(_, run, star, attempt, _, epoch):
                self.assigned[attempt] = event
                self.epochs[attempt] = epoch
                self.leases[run, star] = attempt
            case ev.AttemptAdopted(_, _, _, attempt, _, epoch):
                self.epochs[attempt] = epoch
                self._unconfirmed.discard(attempt)
            case ev.TimerFired(_, run, timer):
                self._timer_fired(run, timer)
            case ev.RunRecovered(_, run):
                going_on = [attempt for (of, _), attempt in self.leases.items() if of == run]
                self._unconfirmed.update(going_on)
                if event.rerun:
                    self.assigned |= {attempt: replace(self.assigned[attempt], idempotent=True) for attempt in going_on}
            case _ if isinstance(event, _ENDS):
                self._end(event.run, event.star, event.attempt)
            case _:
                pass

    def is_current(self, event: RunEvent) -> bool:
        """Whether a report is about the attempt that its star is on, from who has it, in the present session."""
        assert isinstance(event, REPORTS)
        attempt = event.attempt
        return (
            self.leases.get((event.run, event.star)) == attempt
            and self.assigned[attempt].device == event.device
            and self.epochs[attempt] == event.epoch
        )

    def is_open(self, attempt: str) -> bool:
        """Whether some star is still on an attempt."""
        assigned = self.assigned.get(AttemptId(attempt))
        return assigned is not None and self.leases.get((assigned.run, assigned.star)) == attempt

    def _timer_fired(self, run: RunId, timer: str) -> None:
        kind, _, subject = timer.partition(":")
        if kind == "cancel":
            assigned = self.assigned.get(AttemptId(subject))
            if assigned is not None:
                self._end(run, assigned.star, assigned.attempt)
        elif kind == "reconcile":
            lost = [(key, attempt) for key, attempt in self.leases.items() if key[0] == run]
            for (_, star), attempt in lost:
                if attempt in self._unconfirmed:
                    self._end(run, star, attempt)

    def _end(self, run: RunId, star: StarId, attempt: AttemptId) -> None:
        if self.leases.get((run, star)) == attempt:
            del self.leases[run, star]
