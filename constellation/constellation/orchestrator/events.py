"""What an observer sees of a run: one frozen record per event, numbered within the run.

These are told after the journal has what they follow from. `as_json` gives the form in which they are printed and sent;
`docs/events.md` documents it. Times are seconds since the Unix epoch, durations seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        event: What kind of event it is.
        seq: Its number within the run, from 1, without gaps.
        time: When it happened.
        run: The run's id.
    """

    event: ClassVar[str]

    seq: int = 0
    time: float
    run: str

    def as_json(self) -> dict[str, Any]:
        """The event as JSON values; what is None is left out."""
        fields = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        rest = {
            name: value for name, value in fields.items() if name not in ("seq", "time", "run") and value is not None
        }
        return {"event": self.event, "seq": self.seq, "time": self.time, "run": self.run, **rest}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run has begun."""

    event: ClassVar[str] = "run_started"

    name: str
    stars: int
    lines: int
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecovered(Event):
    """An orchestrator has taken the run up again; `stars` counts by state."""

    event: ClassVar[str] = "run_recovered"

    name: str
    stars: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceJoined(Event):
    """A device can take work."""

    event: ClassVar[str] = "device_joined"

    device: str
    slots: int
    pid: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRestricted(Event):
    """A device says that it has tools and labels which its token does not permit; they are ignored."""

    event: ClassVar[str] = "device_restricted"

    device: str
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLeft(Event):
    """A device is gone."""

    event: ClassVar[str] = "device_left"

    device: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarAssigned(Event):
    """A star was given to a device; `attempt` is the number of the try."""

    event: ClassVar[str] = "star_assigned"

    star: str
    device: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StarStarted(Event):
    """The device has begun with a star."""

    event: ClassVar[str] = "star_started"

    star: str
    device: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StarProgress(Event):
    """A line of output, a share of the work done, or partial output of a running star."""

    event: ClassVar[str] = "star_progress"

    star: str
    device: str
    attempt: int
    text: str | None = None
    fraction: float | None = None
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StarRetrying(Event):
    """A try is over without a result and the star goes back in the queue, after `delay_s`."""

    event: ClassVar[str] = "star_retrying"

    star: str
    device: str | None
    error: Mapping[str, Any]
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StarSettled(Event):
    """A star has ended: `succeeded`, `failed`, `cancelled` or `skipped`."""

    event: ClassVar[str] = "star_settled"

    star: str
    state: str
    device: str | None = None
    attempts: int = 0
    duration_s: float | None = None
    output: Any = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdited(Event):
    """The graph has changed."""

    event: ClassVar[str] = "graph_edited"

    version: int
    author: str
    reason: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRefused(Event):
    """An edit by a planner did not fit, or the planner itself failed; the graph is as it was."""

    event: ClassVar[str] = "edit_refused"

    star: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerNoted(Event):
    """A planner lets something be known of its work.

    Attributes:
        about: `planned`, `asked`, `prompted`, `mistake`, `edited`, `left`, `refused` or `gave_up`.
        text: What there is to say.
        stars: The stars that it is about; empty for the whole run.
        calls: Requests to its model since it last said something.
        input_tokens: Tokens of their prompts.
        output_tokens: Tokens of their answers.
        usd: What they cost, a decimal number; None where nobody knows.
    """

    event: ClassVar[str] = "planner_noted"

    about: str
    text: str
    stars: tuple[str, ...] = ()
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(Event):
    """A star waits for a person."""

    event: ClassVar[str] = "approval_requested"

    star: str
    question: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused(Event):
    """Nothing new starts."""

    event: ClassVar[str] = "run_paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUnpaused(Event):
    """The pause is over."""

    event: ClassVar[str] = "run_unpaused"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsMissed(Event):
    """The observer was too slow, or came too late, for `count` events, which are not told again."""

    event: ClassVar[str] = "events_missed"

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The run has ended; the last event of every run.

    Attributes:
        state: `succeeded`, `failed` or `cancelled`.
        stars: How many stars ended in each state.
        width: The largest number of stars that ran at once; of each star only the last try counts.
        makespan_s: Seconds from the start of the first attempt to the end of the last.
        error: Why, when it did not succeed.
        report: The path of the report file, when one was written.
    """

    event: ClassVar[str] = "run_finished"

    state: str
    stars: Mapping[str, int]
    width: int
    makespan_s: float
    error: Mapping[str, Any] | None = None
    report: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as JSON values; the report's path is there even when it is null."""
        return {**Event.as_json(self), "report": self.report}


_BY_NAME: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (
        RunStarted,
        RunRecovered,
        DeviceJoined,
        DeviceRestricted,
        DeviceLeft,
        StarAssigned,
        StarStarted,
        StarProgress,
        StarRetrying,
        StarSettled,
        GraphEdited,
        EditRefused,
        PlannerNoted,
        ApprovalRequested,
        RunPaused,
        RunUnpaused,
        EventsMissed,
        RunFinished,
    )
}


def event_from_json(data: Mapping[str, Any]) -> Event:
    """An event from the JSON values that `as_json` gives; fields of newer versions are ignored.

    Raises:
        ValueError: it is of a kind that this release does not know.
    """
    kind = _BY_NAME.get(str(data.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}")
    names = {item.name for item in dataclasses.fields(kind)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in names}
    event: Event = kind(**values)  # type: ignore[arg-type]  # which fields there are depends on the kind
    return event
