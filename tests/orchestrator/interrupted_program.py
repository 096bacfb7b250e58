"""A program that runs a graph on device processes, for tests that kill it. It says the run's id, then what settles.

Arguments: the home, the tools' file, the log of effects, the gate that lets the later stars end, whether idempotent.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from constellation import Orchestrator, TaskConstellation

home, tools, log, gate, idempotent = sys.argv[1:]


async def main() -> None:
    graph = TaskConstellation("interrupted")
    open_gate = Path(gate).with_name("open")
    open_gate.touch()
    early = [
        graph.star(f"early {n}", "record_and_wait", log=log, line=f"early-{n}", gate=str(open_gate)) for n in range(4)
    ]
    late = [
        graph.star(
            f"late {n}",
            "record_and_wait",
            log=log,
            line=f"late-{n}",
            gate=gate,
            after=early,
            idempotent=True if idempotent == "yes" else None,
        )
        for n in range(6)
    ]
    graph.star("end", "total", numbers=[1, 2], after=late)
    async with Orchestrator.local(
        devices=4, kind="process", slots=1, tools=[tools], journal=Path(home) / "journal.db", home=Path(home)
    ) as orchestrator:
        run = await orchestrator.submit(graph)
        print("run", run.id, flush=True)
        for device in await orchestrator.devices():
            print("device", device.name, device.pid, flush=True)
        async for event in run.events():
            if event.event in ("star_started", "star_settled"):
                print(event.event, event.as_json()["star"], flush=True)


anyio.run(main)
