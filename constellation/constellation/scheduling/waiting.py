"""What waits: stars for a device, by rank, and timers for their time. It follows the commands of the runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..graph import TaskConstellation
from .commands import (
    Dispatch,
    EditApplied,
    QueueStar,
    RunSettled,
    StarSettled,
    StartTimer,
    StopTimer,
    UnqueueStar,
)
from .events import RunId
from .fleet import Fleet
from .ranks import Ranks
from .run import RunMachine
from .timers import Timers

KEPT = frozenset({QueueStar, UnqueueStar, StartTimer, StopTimer})
"""Commands that concern nobody else."""


class Waiting:
    """The queue and the timers of all runs.

    Attributes:
        fleet: The devices, and the stars that wait for one.
        timers: When runs want to be told of the time.
        ranks: How urgent each star is, by run.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.timers = Timers()
        self.ranks: dict[RunId, Ranks] = {}

    def begin(self, run: RunId, graph: TaskConstellation) -> None:
        """Get to know a run."""
        self.ranks[run] = Ranks(graph, self.fleet.durations)

    def drop(self, run: RunId) -> None:
        """Forget a run."""
        self.ranks.pop(run, None)
        self.timers.stop_all(run)
        self.fleet.forget(run)

    def _queue(self, machine: RunMachine, command: QueueStar) -> None:
        tries = machine.tries[command.star]
        self.fleet.queue(machine.run, tries.spec, self.ranks[machine.run][command.star], tries.avoid)

    def _unqueue(self, machine: RunMachine, command: UnqueueStar) -> None:
        self.fleet.unqueue(machine.run, command.star)

    def _start_timer(self, machine: RunMachine, command: StartTimer) -> None:
        self.timers.start(machine.run, command.timer, command.due_at)

    def _stop_timer(self, machine: RunMachine, command: StopTimer) -> None:
        self.timers.stop(machine.run, command.timer)

    def _dispatched(self, machine: RunMachine, command: Dispatch) -> None:
        self.fleet.unqueue(machine.run, command.star.id)

    def _star_settled(self, machine: RunMachine, command: StarSettled) -> None:
        self.ranks[machine.run].discard(command.star)

    def _edit_applied(self, machine: RunMachine, command: EditApplied) -> None:
        self.ranks[machine.run].follow(command.applied)

    def _run_settled(self, machine: RunMachine, command: RunSettled) -> None:
        self.timers.stop_all(machine.run)


MEANT: Mapping[type, Callable[[Waiting, RunMachine, Any], None]] = {
    QueueStar: Waiting._queue,
    UnqueueStar: Waiting._unqueue,
    StartTimer: Waiting._start_timer,
    StopTimer: Waiting._stop_timer,
    Dispatch: Waiting._dispatched,
    StarSettled: Waiting._star_settled,
    EditApplied: Waiting._edit_applied,
    RunSettled: Waiting._run_settled,
}
"""What commands mean for what waits; those that are not here mean nothing."""
