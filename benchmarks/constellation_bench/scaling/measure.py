"""One run of a size, in the process that it has for itself: its CPU time, and the memory that it leaves in use."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil

from constellation import Orchestrator, RunReport, TaskConstellation

from ..overhead.cases.in_process import orchestrator
from ..overhead.cases.runs import make_graph
from ..overhead.dag import layered
from ..overhead.measure import WARM_UP_STARS


@dataclass(frozen=True, slots=True)
class Sample:
    """One run.

    Attributes:
        stars: How many stars it had.
        wall_s: Seconds from submission to the result.
        cpu_s: CPU seconds of the process meanwhile; devices are part of it.
        graph_bytes: What building the graph has added to the resident memory of the process.
        run_bytes: What the run has added to it from submission to when it had ended and its report was made, with the
            run still in hand: its own graph with states and outcomes, its events, attempts and timers, the report,
            what devices remember, and what the allocator keeps of memory used meanwhile.
    """

    stars: int
    wall_s: float
    cpu_s: float
    graph_bytes: int
    run_bytes: int


def measure(stars: int, folder: Path) -> dict[str, Any]:
    """Carry out one run of that many stars, after a small one; returns a Sample as JSON."""
    return asdict(anyio.run(_measure, stars, folder))


async def _measure(stars: int, folder: Path) -> Sample:
    async with orchestrator(folder) as opened:
        await _run(opened, make_graph(layered(min(stars, WARM_UP_STARS))))
        empty = resident_bytes()
        graph = make_graph(layered(stars))
        built = resident_bytes()
        cpu, began = time.process_time(), time.perf_counter()
        in_hand = await _run(opened, graph)
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        run_bytes = resident_bytes() - built
        del in_hand
    return Sample(stars, wall_s, cpu_s, built - empty, run_bytes)


async def _run(opened: Orchestrator, graph: TaskConstellation) -> tuple[object, RunReport]:
    run = await opened.submit(graph)
    report = await run.wait()
    report.raise_for_state()
    return run, report


def resident_bytes() -> int:
    """The resident memory of this process, without what is garbage."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)
