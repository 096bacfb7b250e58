"""The kinds of events that the scheduler tells apart before a run sees them."""

from __future__ import annotations

from . import events as ev
from .inputs import FLEET_EVENTS

OF_THE_FLEET = frozenset(FLEET_EVENTS)
"""Looked up in half the time that `isinstance` takes to find out that an event is none of these."""

LAST_REPORTS = frozenset({ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCancelled, ev.AttemptRejected})
"""What a device says of an attempt when it is done with it."""

OF_RUNS = frozenset({ev.RunStarted, ev.RunRecovered, ev.RunPaused, ev.RunUnpaused, ev.PlannerNoted})
"""The kinds of events that are about a whole run; see `Step.of_runs`."""

NEWS = LAST_REPORTS | {ev.AttemptStarted, ev.HoldReleased, ev.ProposalWithdrawn, ev.PlannerNoted}
"""What is not a request but news, and may come when the run that it is about has been dropped."""
