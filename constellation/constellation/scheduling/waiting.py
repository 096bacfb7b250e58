"""What waits, of all runs: stars for a device, by rank, and timers for their time."""

from __future__ import annotations

from ..graph import Applied, StarId, TaskConstellation, TaskStar
from .desk import Desk
from .events import DeviceId, RunId
from .fleet import Fleet
from .ranks import Ranks
from .timers import Timers


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

    def begin(self, run: RunId, graph: TaskConstellation) -> Desk:
        """Get to know a run, and give it a desk."""
        ranks = self.ranks[run] = Ranks(graph, self.fleet.durations)
        return _RunDesk(run, ranks, self.fleet, self.timers)

    def drop(self, run: RunId) -> None:
        """Forget a run."""
        self.ranks.pop(run, None)
        self.timers.stop_all(run)
        self.fleet.forget(run)


class _RunDesk(Desk):
    """The desk of one run."""

    __slots__ = ("_fleet", "_ranks", "_run", "_timers")

    def __init__(self, run: RunId, ranks: Ranks, fleet: Fleet, timers: Timers) -> None:
        self._run = run
        self._ranks = ranks
        self._fleet = fleet
        self._timers = timers

    def queue(self, star: TaskStar, avoid: frozenset[DeviceId]) -> None:
        self._fleet.queue(self._run, star, self._ranks[star.id], avoid)

    def unqueue(self, star: StarId) -> None:
        self._fleet.unqueue(self._run, star)

    def start_timer(self, timer: str, due_at: float) -> None:
        self._timers.start(self._run, timer, due_at)

    def stop_timer(self, timer: str) -> None:
        self._timers.stop(self._run, timer)

    def graph_edited(self, applied: Applied) -> None:
        self._ranks.follow(applied)

    def run_ended(self) -> None:
        self._timers.stop_all(self._run)
