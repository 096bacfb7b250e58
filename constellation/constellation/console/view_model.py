"""What is known of a run at a moment, built from its events alone: the state behind every view of it.

Each event costs the same however large the graph is: counts are kept, never recounted. Times are those in the events,
so that a run on a machine whose clock is off is shown as it was there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..orchestrator import events as ev
from .lines import Line, describe
from .sanitise import visible

LOG_LINES = 200
"""How many lines of the log are kept: more than any screen shows."""

ENDED = ("succeeded", "failed", "cancelled", "skipped")
"""The states in which a star stays."""


@dataclass(slots=True)
class Work:
    """A star that a device has.

    Attributes:
        star: Its id.
        since: When the device began with it, or was given it.
        begun: Whether the device has begun.
        fraction: The share done, as far as it tells, 0 to 1.
    """

    star: str
    since: float
    begun: bool = False
    fraction: float | None = None


@dataclass(slots=True)
class Lane:
    """A device, and what it is doing.

    Attributes:
        device: Its id.
        slots: How many stars it runs at once; 0 while that is not known.
        here: Whether it can take work.
        work: What it has, by star.
        done: How many stars succeeded on it.
        failed: How many failed on it.
    """

    device: str
    slots: int = 0
    here: bool = True
    work: dict[str, Work] = field(default_factory=dict)
    done: int = 0
    failed: int = 0


class RunView:
    """A run as its events tell it.

    Attributes:
        run: Its id.
        name: Its name.
        state: `starting`, `running`, `paused`, or how it ended.
        total: How many stars the graph holds now.
        counts: How many stars are in each state; those that wait for anything are all `waiting`.
        lanes: The devices, in the order in which they came.
        log: The last lines worth reading, with their times.
        edits: How many times the graph was changed.
        questions: The approvals that are open: their questions, by star.
        started_at: When the run began to be seen.
        last_at: When the last event happened.
    """

    def __init__(self) -> None:
        self.run = ""
        self.name = ""
        self.state = "starting"
        self.total = 0
        self.counts: dict[str, int] = dict.fromkeys((*ENDED, "running", "assigned"), 0)
        self.lanes: dict[str, Lane] = {}
        self.log: deque[tuple[float, Line]] = deque(maxlen=LOG_LINES)
        self.edits = 0
        self.questions: dict[str, str] = {}
        self.started_at: float | None = None
        self.last_at = 0.0
        self._states: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._removed: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many stars have neither ended nor are with a device."""
        return max(self.total - sum(self.counts.values()), 0)

    def apply(self, event: ev.Event) -> Line | None:
        """Take an event in; returns the line that tells it."""
        self.last_at = event.time
        if self.started_at is None:
            self.started_at = event.time
            self.run = event.run
        self._follow(event)
        line = describe(event)
        if line is not None and not line.routine:
            self.log.append((event.time, line))
        return line

    def _follow(self, event: ev.Event) -> None:
        match event:
            case ev.StarAssigned():
                self._place(event.star, event.device, event.time)
            case ev.StarStarted():
                work = self._place(event.star, event.device, event.time)
                work.begun = True
                work.since = event.time
                self._enter(event.star, "running")
            case ev.StarProgress():
                work_known = self._work(event.star)
                if work_known is not None and event.fraction is not None:
                    work_known.fraction = event.fraction
            case ev.StarSettled():
                self._settle(event)
            case ev.StarRetrying():
                self._unplace(event.star)
                self._enter(event.star, None)
            case ev.GraphEdited():
                self._edit(event)
            case ev.ApprovalRequested():
                self.questions[event.star] = visible(event.question)
                if not _is_inside(event.star):
                    self._enter(event.star, "running")
            case ev.DeviceJoined():
                lane = self._lane(event.device)
                lane.slots, lane.here = event.slots, True
            case ev.DeviceLeft():
                self._lane(event.device).here = False
            case _:
                self._follow_run(event)

    def _follow_run(self, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self.name, self.total, self.state = event.name, event.stars, "running"
            case ev.RunRecovered():
                self.name, self.total, self.state = event.name, sum(event.stars.values()), "running"
                # Which stars were with a device is not said; they count as waiting until an event names them.
                for state in ENDED:
                    self.counts[state] = event.stars.get(state, 0)
            case ev.RunPaused():
                self.state = "paused"
            case ev.RunUnpaused():
                self.state = "running"
            case ev.RunFinished():
                self.state = event.state
                self.total = sum(event.stars.values())
                self.counts.update(dict.fromkeys(self.counts, 0) | dict(event.stars))
                for lane in self.lanes.values():
                    lane.work.clear()
                self._places.clear()
                self.questions.clear()

    def _settle(self, event: ev.StarSettled) -> None:
        self.questions.pop(event.star, None)
        self._unplace(event.star)
        if event.star in self._removed or _is_inside(event.star):
            return
        self._enter(event.star, event.state)
        if event.device is not None and event.state in ("succeeded", "failed"):
            lane = self._lane(event.device)
            if event.state == "succeeded":
                lane.done += 1
            else:
                lane.failed += 1

    def _edit(self, event: ev.GraphEdited) -> None:
        self.edits += 1
        self.total += len(event.added) - len(event.removed)
        self._removed.difference_update(event.added)
        for star in event.removed:
            self.questions.pop(star, None)
            self._unplace(star)
            self._enter(star, None)
            self._removed.add(star)

    def _enter(self, star: str, state: str | None) -> None:
        """Put a star in a state; None is waiting, which is not counted but is what remains."""
        before = self._states.get(star)
        if before is not None:
            self.counts[before] -= 1
        if state is None:
            self._states.pop(star, None)
        else:
            self.counts[state] = self.counts.get(state, 0) + 1
            self._states[star] = state

    def _place(self, star: str, device: str, at: float) -> Work:
        if self._places.get(star) != device:
            self._unplace(star)
            self._places[star] = device
            self._lane(device).work[star] = Work(star, at)
            self._enter(star, "assigned")
        return self._lane(device).work[star]

    def _unplace(self, star: str) -> None:
        device = self._places.pop(star, None)
        if device is not None:
            del self.lanes[device].work[star]

    def _work(self, star: str) -> Work | None:
        device = self._places.get(star)
        return self.lanes[device].work[star] if device is not None else None

    def _lane(self, device: str) -> Lane:
        return self.lanes.setdefault(device, Lane(device))


def _is_inside(star: str) -> bool:
    """Whether a star belongs to a nested constellation, which counts as one star here."""
    return "/" in star
