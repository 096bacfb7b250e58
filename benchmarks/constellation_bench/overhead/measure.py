"""One measurement of one subject, in the process that it has for itself."""

from __future__ import annotations

import gc
import importlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from .cpu import others_cpu_s, server_cpu_s
from .dag import Dag, layered
from .subject import Prepare, Subject

WARM_UP_STARS = 300
"""How many stars the run before the measured one has: modules are loaded and caches are warm after it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run.

    Attributes:
        stars: How many stars it had.
        wall_s: Seconds from submission to the result.
        own_cpu_s: CPU seconds of the process that submitted it.
        others_cpu_s: CPU seconds of all processes that this one has started, and of theirs.
        server_cpu_s: CPU seconds of the database's server, all of it; None where there is none or it can't be seen.
    """

    stars: int
    wall_s: float
    own_cpu_s: float
    others_cpu_s: float
    server_cpu_s: float | None


def measure(module: str, stars: int, folder: Path) -> dict[str, Any]:
    """Carry out one run of that many stars, after a small one; returns a Sample as JSON."""
    subject: Subject = importlib.import_module(module)
    return asdict(anyio.run(_measure, subject, stars, folder))


async def _measure(subject: Subject, stars: int, folder: Path) -> Sample:
    async with subject.opened(folder) as prepare:
        return await sampled(prepare, stars)


async def sampled(prepare: Prepare, stars: int, server: int | None = None) -> Sample:
    """Run a small graph, then one of that many stars; `server` is the first process of a database's server."""
    await _run_once(prepare, layered(min(stars, WARM_UP_STARS)), server)
    return await _run_once(prepare, layered(stars), server)


async def _run_once(prepare: Prepare, dag: Dag, server: int | None) -> Sample:
    run = await prepare(dag)
    gc.collect()
    serving = server_cpu_s(server) if server is not None else None
    others, own, began = others_cpu_s(), time.process_time(), time.perf_counter()
    ran = await run()
    wall_s, own_s, others_s = time.perf_counter() - began, time.process_time() - own, others_cpu_s() - others
    served_s = server_cpu_s(server) - serving if server is not None and serving is not None else None
    if ran != len(dag):
        raise RuntimeError(f"{ran} of {len(dag)} stars have run")
    return Sample(ran, wall_s, own_s, others_s, served_s)
