"""One file from device to device, with or without cuts on its way, and what that took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil

from constellation import TaskConstellation
from constellation.testing.proxy import Direction

from ..errors import MeasurementFailed
from .memory import family, watched
from .stage import MAKER, TAKER, Stage

WARM_UP_BYTES = 4 * 1024 * 1024
"""A file that is carried before anything is measured, so that what processes load once does not count."""

CARRIES: dict[str, Direction] = {MAKER: "up", TAKER: "down"}
"""Which way the file passes each device's wire."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One file.

    Attributes:
        size: Its bytes.
        cuts: How many connections were cut on its way.
        wall_s: Seconds from submission until the other device had read it, making it included.
        up_bytes: What went from the device that made it to the hub.
        down_bytes: What went from the hub to the device that read it.
        growth_bytes: By how much each process has grown at most, in resident memory.
    """

    size: int
    cuts: int
    wall_s: float
    up_bytes: int
    down_bytes: int
    growth_bytes: dict[str, int]


async def warm_up(stage: Stage) -> None:
    """Carry a small file, so that everything is loaded and workers are started."""
    await _carried(stage, WARM_UP_BYTES, seed=0)


async def measure(stage: Stage, size: int, *, seed: int, cut: bool) -> Sample:
    """Carry a file, cutting each device's connection when half of it has passed, if wanted.

    Raises:
        MeasurementFailed: it did not arrive, or not as it was.
    """
    before = {name: wire.passed[CARRIES[name]] for name, wire in stage.wires.items()}
    cuts = sum(wire.cuts for wire in stage.wires.values())
    if cut:
        for wire in stage.wires.values():
            wire.cut_after(size // 2)
    processes: dict[str, psutil.Process] = {}
    for name, process in stage.processes.items():
        processes |= family(name, process)
    began = time.perf_counter()
    async with watched(processes) as growth:
        await _carried(stage, size, seed=seed)
        wall_s = time.perf_counter() - began
    passed = {name: wire.passed[CARRIES[name]] - before[name] for name, wire in stage.wires.items()}
    return Sample(
        size=size,
        cuts=sum(wire.cuts for wire in stage.wires.values()) - cuts,
        wall_s=wall_s,
        up_bytes=passed[MAKER],
        down_bytes=passed[TAKER],
        growth_bytes=growth.bytes,
    )


async def _carried(stage: Stage, size: int, *, seed: int) -> None:
    graph = TaskConstellation("a file on its way")
    made = graph.star("make", "make_file", arguments={"size": size, "seed": seed}, device=MAKER)
    graph.star("read", "read_file", arguments={"file": made.output}, device=TAKER)
    run = await stage.hub.submit(graph)
    report = await run.wait()
    outputs: dict[str, Any] = dict(report.outputs)
    if report.state != "succeeded" or set(outputs) != {"read"}:
        raise MeasurementFailed(f"failed: the run {report.state}: {[row.error for row in report.rows]}")
    if outputs["read"]["size"] != size:
        raise MeasurementFailed(f"failed: {outputs['read']['size']} of {size} bytes have arrived")
