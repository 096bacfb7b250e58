"""The CPU time of single edits of an active graph, collected by kind."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from statistics import median
from typing import Any

from constellation import EditBatch, EditRejected, TaskConstellation

from ..cases.runs import make_graph
from ..dag import layered

_LOOKS = 1_000
"""How often the cost of looking at the clock is measured."""


class EditTimer:
    """A graph that waits to be run, and what edits of it cost.

    What is timed is `TaskConstellation.apply` alone: the batch has been built, and what it takes to look at the clock,
    which is no small part of a few microseconds, is taken off.
    """

    def __init__(self, stars: int) -> None:
        self.graph: TaskConstellation = make_graph(layered(stars))
        self.graph.activate()
        self.cpu_us: dict[str, list[float]] = defaultdict(list)
        self.wall_s = 0.0
        for _ in range(_LOOKS):
            self._note("clock", _now())
        self._clock_us = median(self.cpu_us.pop("clock"))
        self.wall_s = 0.0
        gc.collect()

    def apply(self, kind: str, batch: EditBatch) -> EditBatch:
        """Apply a batch; returns its inverse."""
        began = _now()
        applied = self.graph.apply(batch)
        self._note(kind, began)
        return applied.inverse

    def refuse(self, kind: str, batch: EditBatch) -> None:
        """Apply a batch that is rolled back."""
        began = _now()
        try:
            self.graph.apply(batch)
        except EditRejected:
            self._note(kind, began)
        else:
            raise RuntimeError(f"the batch {kind!r} was meant to be refused")

    def _note(self, kind: str, began: tuple[float, int]) -> None:
        wall, cpu = _now()
        self.cpu_us[kind].append((cpu - began[1]) / 1e3)
        self.wall_s += wall - began[0]

    def as_json(self) -> dict[str, Any]:
        """All costs so far, in microseconds by kind, and the seconds that all edits took together."""
        cpu_us = {kind: [max(0.0, cost - self._clock_us) for cost in costs] for kind, costs in self.cpu_us.items()}
        return {"stars": len(self.graph), "wall_s": self.wall_s, "cpu_us": cpu_us}


def _now() -> tuple[float, int]:
    """Elapsed time in seconds, and CPU time of this process in nanoseconds."""
    return time.perf_counter(), time.process_time_ns()
