"""When the ends of runs are told: not before all that is nested in them has ended too.

Stars that are cancelled have ended at once, while the runs that were started for them still have their devices stop. A
run may so end before those. Whoever is told of its end takes it for done with, and after a restart would leave the runs
that were nested in it to nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .commands import RunSettled
from .events import RunId
from .run import RunMachine


class Endings:
    """The ends of runs that are yet to be told."""

    def __init__(self, runs: Mapping[RunId, RunMachine]) -> None:
        """Look after the ends of these runs."""
        self._runs = runs
        self._withheld: dict[RunId, RunSettled] = {}

    def withhold(self, settled: RunSettled) -> bool:
        """Keep back that a run has ended, if it has to be; else returns False."""
        waits = self._has_nested(settled.run)
        if waits:
            self._withheld[settled.run] = settled
        return waits

    def is_withheld(self, run: RunId) -> bool:
        """Whether a run has ended, and that is yet to be told."""
        return run in self._withheld

    def take_up(self, child: RunMachine) -> None:
        """A nested run was taken up again: those that it is nested in may have ended without telling it."""
        above = self._above(child)
        while above is not None and above.ended:
            self._withheld[above.run] = RunSettled(above.run, above.state, above.error)
            above = self._above(above)

    def due_after(self, child: RunMachine) -> Iterator[RunSettled]:
        """The ends that can be told now that a nested run has ended, innermost first."""
        above = self._above(child)
        while above is not None and above.run in self._withheld and not self._has_nested(above.run):
            yield self._withheld.pop(above.run)
            above = self._above(above)

    def drop(self, run: RunId) -> None:
        """Forget a run."""
        self._withheld.pop(run, None)

    def _above(self, child: RunMachine) -> RunMachine | None:
        return self._runs.get(child.parent[0]) if child.parent is not None else None

    def _has_nested(self, run: RunId) -> bool:
        nested = (child for child in self._runs.values() if child.parent and child.parent[0] == run)
        return any(not child.ended or child.run in self._withheld for child in nested)
