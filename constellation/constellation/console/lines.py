"""Events as lines of text: what is printed when output is piped, and what the live view's log shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..orchestrator import events as ev
from .formatting import by_state, cause, counted, duration, some
from .sanitise import visible

TEXT_LIMIT = 1000
"""The most characters of a line of a star's own output that are shown."""


class Tone(Enum):
    """How much a line matters, which decides its colour."""

    PLAIN = "plain"
    HEAD = "head"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    DIM = "dim"


@dataclass(frozen=True, slots=True)
class Line:
    """One line for people.

    Attributes:
        text: Safe to print as it is.
        tone: How much it matters.
        routine: Whether it tells of the ordinary course of a star, which the live view shows otherwise than in its log.
    """

    text: str
    tone: Tone = Tone.PLAIN
    routine: bool = False


def describe(event: ev.Event) -> Line | None:
    """The event as a line; None for those that say nothing beyond the ones around them."""
    match event:
        case ev.StarStarted():
            again = f", try {event.attempt}" if event.attempt > 1 else ""
            return Line(f"{visible(event.star)}: started on {visible(event.device)}{again}", Tone.DIM, routine=True)
        case ev.StarProgress(text=str(text)):
            return Line(f"{visible(event.star)} | {visible(text.rstrip(), limit=TEXT_LIMIT)}", Tone.DIM)
        case ev.StarSettled():
            return _settled(event)
        case ev.StarRetrying():
            when = f"in {duration(event.delay_s)}" if event.delay_s > 0 else "at once"
            return Line(f"{visible(event.star)}: {cause(event.error)}; tried again {when}", Tone.WARN)
        case ev.GraphEdited():
            return _edited(event)
        case ev.EditRefused():
            text = f"edit after {visible(event.star)} refused: {visible(event.message, limit=TEXT_LIMIT)}"
            return Line(text, Tone.WARN)
        case ev.PlannerNoted():
            return None if event.about in ("asked", "prompted") else _planner(event)
        case ev.ApprovalRequested():
            text = f"{visible(event.star)} waits for approval: {visible(event.question, limit=TEXT_LIMIT)}"
            return Line(text, Tone.WARN)
        case ev.DeviceJoined():
            process = f"process {event.pid}, " if event.pid is not None else ""
            return Line(f"{visible(event.device)} joined ({process}{counted(event.slots, 'slot')})", Tone.PLAIN)
        case ev.DeviceRestricted():
            ignored = [
                f"{what} {some(names)}" for what, names in (("tools", event.tools), ("labels", event.labels)) if names
            ]
            return Line(f"{visible(event.device)} may not offer what it has: {'; '.join(ignored)}", Tone.WARN)
        case ev.DeviceLeft():
            reason = f": {visible(event.reason, limit=TEXT_LIMIT)}" if event.reason else ""
            return Line(f"{visible(event.device)} left{reason}", Tone.WARN)
        case _:
            return _of_the_run(event)


def _of_the_run(event: ev.Event) -> Line | None:
    match event:
        case ev.RunStarted():
            size = f"{counted(event.stars, 'star')}, {counted(event.lines, 'line')}"
            return Line(f"run {visible(event.run)}: {visible(event.name)} ({size})", Tone.HEAD)
        case ev.RunRecovered():
            text = f"run {visible(event.run)}: {visible(event.name)} taken up again ({by_state(event.stars)})"
            return Line(text, Tone.HEAD)
        case ev.RunPaused():
            return Line("paused: nothing new starts", Tone.WARN)
        case ev.RunUnpaused():
            return Line("the pause is over", Tone.PLAIN)
        case ev.EventsMissed():
            return Line(f"{counted(event.count, 'event')} missed here; the run itself is whole", Tone.WARN)
        case ev.RunFinished():
            tone = Tone.GOOD if event.state == "succeeded" else Tone.BAD
            return Line(f"run {visible(event.run)} {visible(event.state)} ({by_state(event.stars)})", tone)
        case _:
            return None


_TONES = {"succeeded": Tone.GOOD, "failed": Tone.BAD, "cancelled": Tone.WARN, "skipped": Tone.WARN}


def _settled(event: ev.StarSettled) -> Line:
    text = f"{visible(event.star)}: {visible(event.state)}"
    if event.device is not None:
        text += f" on {visible(event.device)}"
    if event.duration_s is not None:
        text += f" in {duration(event.duration_s)}"
    if event.attempts > 1:
        text += f" after {event.attempts} tries"
    if event.error:
        text += f": {cause(event.error)}"
    return Line(text, _TONES.get(event.state, Tone.PLAIN), routine=event.state == "succeeded")


_PLANNER_TONES = {"planned": Tone.HEAD, "edited": Tone.HEAD, "left": Tone.DIM}


def _planner(event: ev.PlannerNoted) -> Line:
    what = {"gave_up": "gave up", "left": "leaves the graph as it is", "mistake": "has to mend"}
    about = f" after {some(event.stars, most=3)}" if event.stars else ""
    text = f"planner {what.get(event.about, visible(event.about))}{about}: {visible(event.text, limit=TEXT_LIMIT)}"
    return Line(text, _PLANNER_TONES.get(event.about, Tone.WARN))


def _edited(event: ev.GraphEdited) -> Line:
    changed = tuple(star for star in event.touched if star not in event.added)
    changes = [
        f"{verb} {some(stars)}"
        for verb, stars in (("added", event.added), ("removed", event.removed), ("changed", changed))
        if stars
    ]
    text = f"edit by {visible(event.author) or 'someone'}: {'; '.join(changes) or 'no star changed'}"
    if event.reason:
        text += f" ({visible(event.reason, limit=TEXT_LIMIT)})"
    return Line(text, Tone.HEAD)
