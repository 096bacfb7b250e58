"""One run whose stars do nothing, and what it cost; a thin shell around `Orchestrator`.

The graph is the common shape of fan-out and fan-in: stars in groups of a hundred, each group followed by one star that
waits for all of it and lets the next group begin.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import anyio
import psutil

from constellation import DeviceSpec, Orchestrator, StarHandle, TaskConstellation

GROUP = 100
"""How many stars run side by side."""

SLOTS = 64
"""How many stars a device runs at once."""

NOTHING = f"{__package__}.nothing:nothing"


class Setting(StrEnum):
    """What is measured."""

    MEMORY = "memory"
    """Two devices in the process, the journal in memory."""
    SQLITE = "sqlite"
    """Two devices in the process, the journal in SQLite."""
    PROCESSES = "processes"
    """Two device processes over WebSocket, the journal in SQLite."""


SETTINGS = tuple(Setting)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run.

    Attributes:
        stars: How many stars it had.
        wall_s: Seconds from submission to the result.
        own_cpu_s: CPU seconds of this process meanwhile.
        devices_cpu_s: CPU seconds of the device processes meanwhile.
    """

    stars: int
    wall_s: float
    own_cpu_s: float
    devices_cpu_s: float


def measure(setting: Setting, stars: int) -> Sample:
    """Carry out one run of that many stars and see what it cost."""
    with tempfile.TemporaryDirectory(prefix="constellation-bench-") as folder:
        return anyio.run(_measure, setting, make_graph(stars), Path(folder))


def make_graph(stars: int) -> TaskConstellation:
    """A graph of that many stars that do nothing."""
    graph = TaskConstellation("overhead")
    gate: StarHandle | None = None
    members: list[StarHandle] = []
    for number in range(stars):
        if len(members) == GROUP:
            gate, members = graph.star(f"gate {number}", "nothing", after=members), []
        else:
            members.append(graph.star(f"star {number}", "nothing", after=[gate] if gate else ()))
    return graph


def _open(setting: Setting, folder: Path) -> AbstractAsyncContextManager[Orchestrator]:
    devices = [DeviceSpec(f"device-{number}", slots=SLOTS, tools=[NOTHING]) for number in (1, 2)]
    journal = ":memory:" if setting is Setting.MEMORY else folder / "runs.db"
    kind = "process" if setting is Setting.PROCESSES else "local"
    return Orchestrator.local(devices, kind=kind, journal=journal, home=folder / "home")


async def _measure(setting: Setting, graph: TaskConstellation, folder: Path) -> Sample:
    async with _open(setting, folder) as orchestrator:
        pids = {info.pid for info in await orchestrator.devices()}
        others = [psutil.Process(pid) for pid in pids - {os.getpid(), None}]
        gc.collect()
        before, others_before, began = time.process_time(), _cpu_s(others), time.perf_counter()
        run = await orchestrator.submit(graph)
        report = await run.wait()
        wall_s = time.perf_counter() - began
        sample = Sample(len(graph), wall_s, time.process_time() - before, _cpu_s(others) - others_before)
    report.raise_for_state()
    return sample


def _cpu_s(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds that processes have taken so far, user and system; that of their children is not in it."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))
