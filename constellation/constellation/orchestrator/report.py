"""What a run came to: a row per star, how wide it ran, and what running in parallel has saved."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from operator import sub
from typing import Any

from ..graph import Outcome, StarState, TaskConstellation, stars_by_state
from ..graph.node import Node
from ..graph.record import record
from .errors import RunFailed


@record
class StarRow:
    """One star of a run; times in seconds since the epoch, durations in seconds."""

    id: str
    name: str
    state: str
    device: str | None
    attempts: int
    started_at: float | None
    ended_at: float | None
    duration_s: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's account of itself.

    Attributes:
        run: The run's id.
        name: The graph's name.
        state: `succeeded`, `failed` or `cancelled`, or `running` for a run that goes on.
        stars: How many stars are in each state.
        rows: One row per star, in the order of the graph.
        width: The largest number of stars that ran at once; of each star only the last try counts.
        makespan_s: Seconds from the start of the first attempt to the end of the last.
        serial_s: The sum of all stars' durations.
        speedup: `serial_s / makespan_s`.
        device_s: Seconds of work per device.
        devices_lost: Devices that went away while the run needed them.
        error: Why the run as a whole ended as it did, when it did not succeed.
        outputs: The outputs of the stars that nothing waits for, by their ids.
        moved: The stars that lost a device, each with the last one that it lost.
    """

    run: str
    name: str
    state: str
    stars: dict[str, int]
    rows: tuple[StarRow, ...]
    width: int
    makespan_s: float
    serial_s: float
    speedup: float
    device_s: dict[str, float]
    devices_lost: tuple[str, ...]
    error: str | None
    outputs: dict[str, Any]
    moved: dict[str, str] = field(default_factory=dict)

    def raise_for_state(self) -> None:
        """Raise RunFailed unless the run has succeeded."""
        if self.state == "succeeded":
            return
        failed = {row.id: row.error or "" for row in self.rows if row.state == "failed"}
        skipped = [row.id for row in self.rows if row.state == "skipped"]
        raise RunFailed(self.run, self.state, failed, skipped, reason="" if failed else self.error or "")


def make_report(
    run: str,
    graph: TaskConstellation,
    state: str,
    *,
    error: str | None = None,
    devices_lost: Iterable[str] = (),
    moved: Mapping[str, str] | None = None,
    span: tuple[int, float] | None = None,
) -> RunReport:
    """The report of a run, from its graph with states; `span` is its `executed_span`, where that is known."""
    rows = []
    device_s: dict[str, float] = {}
    for star in graph.in_order():
        row = _row(graph._node(star))
        rows.append(row)
        if row.device is not None and row.duration_s is not None:
            device_s[row.device] = device_s.get(row.device, 0.0) + row.duration_s
    width, makespan_s = span if span is not None else executed_span(graph)
    serial_s = sum(device_s.values())
    return RunReport(
        run=run,
        name=graph.name,
        state=state,
        stars=dict(stars_by_state(graph)),
        rows=tuple(rows),
        width=width,
        makespan_s=makespan_s,
        serial_s=round(serial_s, 6),
        speedup=round(serial_s / makespan_s, 3) if makespan_s > 0 else 1.0,
        device_s={device: round(seconds, 6) for device, seconds in sorted(device_s.items())},
        devices_lost=tuple(dict.fromkeys(devices_lost)),
        error=error,
        outputs=outputs_of(graph),
        moved=dict(moved or {}),
    )


def executed_span(graph: TaskConstellation) -> tuple[int, float]:
    """The largest number of stars that ran on devices at once, and seconds from the first start to the last end."""
    starts: list[float] = []
    ends: list[float] = []
    for node in graph._nodes.values():
        outcome = node.outcome
        if outcome is not None and outcome.started_at is not None and outcome.ended_at is not None:
            starts.append(outcome.started_at)
            ends.append(outcome.ended_at)
    if not starts:
        return 0, 0.0
    starts.sort()
    ends.sort()
    # When the n-th of them begins, n have begun, less those that have ended; itself it counts, however short it is.
    ended = map(min, map(partial(bisect_right, ends), starts), count())
    width = max(map(sub, count(1), ended))
    return width, round(max(0.0, ends[-1] - starts[0]), 6)


def outputs_of(graph: TaskConstellation) -> dict[str, Any]:
    """The outputs of the stars that have succeeded and that nothing waits for, by their ids."""
    outputs: dict[str, Any] = {}
    for star, node in graph._nodes.items():
        if not node.outbound and node.state is StarState.SUCCEEDED and node.outcome is not None:
            outputs[star] = node.outcome.output
    return outputs


_NO_OUTCOME = Outcome()


def _row(node: Node) -> StarRow:
    outcome = node.outcome or _NO_OUTCOME
    duration = None
    if outcome.started_at is not None and outcome.ended_at is not None:
        duration = round(outcome.ended_at - outcome.started_at, 6)
    return StarRow(
        id=node.star.id,
        name=node.star.title,
        state=node.state.value,
        device=outcome.device,
        attempts=outcome.attempts,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        duration_s=duration,
        error=f"{outcome.error.type}: {outcome.error.message}" if outcome.error else None,
    )
