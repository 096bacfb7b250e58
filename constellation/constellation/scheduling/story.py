"""Why a star is where it is: the events of its run that had to do with it, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ..graph import SETTLED, AddLine, Operation, RemoveLine, StarId, StarState, UpdateLine
from . import events as ev
from .commands import Command, EditApplied, RunSettled, StarRetrying, StarSettled
from .events import JournalEntry, RunEvent, Verdicts, parse_attempt
from .run import RunMachine


def story(entries: Iterable[JournalEntry], star: str) -> list[str]:
    """Tell what happened to a star, and to those that it waits for directly, in the order in which it happened.

    Args:
        entries: A run's entries, from its start.
        star: The star's id; one that was removed, or never existed, has a story of edits or none.

    Returns:
        A line for each event, beginning with the time (UTC).
    """
    id = StarId(star)
    machine: RunMachine | None = None
    told: list[str] = []
    for entry in entries:
        event = entry.event
        before = machine.graph.state(id) if machine is not None and id in machine.graph else None
        if machine is None:
            assert isinstance(event, ev.RunStarted)
            machine = RunMachine(event)
        commands: list[Command] = []
        machine.apply(event, commands, entry.verdicts)
        after = machine.graph.state(id) if id in machine.graph else None
        said = [*_of_event(event, id), *_of_verdicts(entry.verdicts, id), *_of_commands(machine, commands, id)]
        if after is not before and after not in SETTLED:
            said.append(f"it is {after.value}" if after is not None else "it is gone")
        told += [f"{clock(event.at)} {line}" for line in said]
    return told


def _of_event(event: RunEvent, star: StarId) -> list[str]:
    """What the event itself says of the star."""
    about = getattr(event, "star", None)
    match event:
        case ev.GraphEdited(_, _, batch):
            by = f" by {batch.author}" if batch.author else ""
            why = f" ({batch.reason})" if batch.reason else ""
            return [f"edit{by}{why}: {operation}" for operation in batch.operations if star in _named(operation)]
        case ev.StarAssigned() if about == star:
            repeat = "may be repeated" if event.idempotent else "may not be repeated"
            return [f"attempt {event.attempt} was given to {event.device}, and {repeat}"]
        case ev.AttemptStarted() if about == star:
            return [f"{event.device} began with attempt {event.attempt}"]
        case ev.AttemptRejected() if about == star:
            return [f"{event.device} refused attempt {event.attempt} ({event.code}): {event.message}"]
        case ev.AttemptSucceeded() if about == star:
            return [f"{event.device} has done attempt {event.attempt} in {event.duration_s:g} s"]
        case ev.AttemptFailed() if about == star:
            return [f"attempt {event.attempt} failed on {event.device}: {event.error.type}: {event.error.message}"]
        case ev.AttemptCancelled() if about == star:
            return [f"{event.device} has stopped attempt {event.attempt}"]
        case ev.AttemptLost() if about == star:
            return [f"attempt {event.attempt} was lost: {event.reason}"]
        case ev.AttemptAdopted() if about == star:
            return [f"{event.device} came back with attempt {event.attempt}"]
        case ev.CancelRequested() if about in (star, None):
            what = "the run" if about is None else "it"
            return [f"it was asked to cancel {what}" + (f": {event.reason}" if event.reason else "")]
        case ev.HoldTaken() if about == star:
            return ["what waits for it was held"]
        case ev.HoldReleased() if about == star:
            return ["its review, or a hold on it, ended" + (f": {event.note}" if event.note else "")]
        case ev.ApprovalAnswered() if about == star:
            by = f" by {event.by}" if event.by else ""
            return [f"it was {'approved' if event.approved else 'denied'}{by}"]
        case ev.PlannerNoted() if star in event.stars and event.about in _REMARKS:
            return [told_note(event)]
        case ev.TimerFired() if star == _timed(event.timer):
            return [f"the timer {event.timer!r} fired"]
        case ev.RunPaused():
            return ["the run was paused"]
        case ev.RunUnpaused():
            return ["the run went on"]
        case ev.RunRecovered():
            return ["another orchestrator took the run up"]
    return []


def _timed(timer: str) -> str:
    """The star that a timer is about, by its id or by that of its attempt; empty for timers of the whole run."""
    subject = timer.partition(":")[2]
    attempt = parse_attempt(subject)
    return attempt[1] if attempt is not None else subject


def told_note(event: ev.PlannerNoted) -> str:
    """What a planner has let be known, in words."""
    return f"the planner {_REMARKS[event.about]}: {event.text}"


_REMARKS: Mapping[str, str] = {
    "planned": "made the plan",
    "mistake": "was told of a mistake",
    "edited": "edited the graph",
    "left": "left the graph as it is",
    "refused": "was refused an edit",
    "gave_up": "gave up",
}
"""What is told of remarks; the others keep accounts."""


def _named(operation: Operation) -> tuple[StarId, ...]:
    """The stars that an operation names."""
    match operation:
        case AddLine(line) | UpdateLine(line):
            return (line.source, line.target)
        case RemoveLine(source, target):
            return (source, target)
    return (operation.star if isinstance(operation.star, str) else operation.star.id,)


def _of_verdicts(verdicts: Verdicts, star: StarId) -> list[str]:
    return [
        f"the condition of line {source!r} → {target!r} came to {verdict}"
        for key, verdict in verdicts.items()
        for source, _, target in [key.partition(">")]
        if star == target
    ]


_WAYS: Mapping[StarState, str] = {StarState.CANCELLED: "was cancelled", StarState.SKIPPED: "was skipped"}


def _of_commands(machine: RunMachine, commands: Iterable[Command], star: StarId) -> list[str]:
    """What followed for the star and for those before it."""
    before = {line.source for line in machine.graph.lines_into(star)} if star in machine.graph else set()
    told = []
    for command in commands:
        match command:
            case StarSettled(_, settled, state, outcome) if settled == star or settled in before:
                who = "it" if settled == star else f"{settled!r}, which it waits for,"
                why = f": {outcome.error.type}: {outcome.error.message}" if outcome.error else ""
                told.append(f"{who} {_WAYS.get(state, state.value)}{why}")
            case StarRetrying(_, retried, _, _, error, delay_s) if retried == star:
                told.append(f"it goes back in the queue after {delay_s:.3g} s: {error.type}: {error.message}")
            case EditApplied(_, applied) if star in applied.cancels:
                told.append("the edit removes it while it runs, so it is cancelled")
            case RunSettled(_, ended, _):
                told.append(f"the run ended: {ended}")
    return told


def run_story(entries: Iterable[JournalEntry]) -> list[str]:
    """Tell what happened to a run as a whole: its plan, edits, questions, failures and end; not every star's course.

    Args:
        entries: The run's entries, from its start.

    Returns:
        A line for each event, beginning with the time (UTC).
    """
    machine: RunMachine | None = None
    told: list[str] = []
    for entry in entries:
        event = entry.event
        if machine is None:
            assert isinstance(event, ev.RunStarted)
            machine = RunMachine(event)
        commands: list[Command] = []
        machine.apply(event, commands, entry.verdicts)
        told += [f"{clock(event.at)} {line}" for line in (*_of_run(event), *_of_ends(commands))]
    return told


def _of_run(event: RunEvent) -> list[str]:
    """What an event says of the run as a whole."""
    match event:
        case ev.RunStarted():
            return [f"the run began with {len(event.graph.get('stars', ()))} stars"]
        case ev.PlannerNoted() if event.about in _REMARKS:
            about = f" (after {', '.join(event.stars)})" if event.stars else ""
            return [told_note(event) + about]
        case ev.GraphEdited(_, _, batch):
            by = f" by {batch.author}" if batch.author else ""
            why = f" ({batch.reason})" if batch.reason else ""
            return [f"edit{by}{why}: {'; '.join(map(str, batch.operations))}"]
        case ev.ProposalMade():
            return [f"a person was asked as {event.proposal!r}: {event.question}"]
        case ev.ProposalWithdrawn():
            return [f"{event.proposal!r} is not asked any more: {event.reason}"]
        case ev.ApprovalAnswered():
            by = f" by {event.by}" if event.by else ""
            why = f": {event.comment}" if event.comment else ""
            return [f"{event.star!r} was {'approved' if event.approved else 'denied'}{by}{why}"]
        case ev.CancelRequested():
            what = "the run" if event.star is None else repr(event.star)
            return [f"it was asked to cancel {what}" + (f": {event.reason}" if event.reason else "")]
        case ev.RunPaused():
            return ["the run was paused"]
        case ev.RunUnpaused():
            return ["the run went on"]
        case ev.RunRecovered():
            return ["another orchestrator took the run up"]
    return []


def _of_ends(commands: Iterable[Command]) -> list[str]:
    """What went wrong with stars, and the end of the run."""
    told = []
    for command in commands:
        match command:
            case StarSettled(_, star, StarState.FAILED, outcome):
                where = f" on {outcome.device}" if outcome.device else ""
                why = f": {outcome.error.type}: {outcome.error.message}" if outcome.error else ""
                told.append(f"{star!r} failed{where}{why}")
            case RunSettled(_, ended, error):
                told.append(f"the run ended: {ended}" + (f": {error.message}" if error else ""))
    return told


def clock(at: float) -> str:
    """An instant as it stands before each line (UTC)."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
