"""A device whose connection is cut two hundred times while its work reports and ends: nothing is lost or done twice.

An agent merges lines that it could not send yet into one message, and drops the oldest beyond 256 of an attempt. So
what is counted here are the lines, not the messages; no attempt has more lines than are always kept.
"""

from __future__ import annotations

import random
from collections import defaultdict
from functools import partial
from pathlib import Path

import anyio
import pytest

from constellation import Orchestrator, TaskConstellation
from constellation.orchestrator import events as seen
from constellation.testing.proxy import proxy
from constellation_devices.agent import DeviceAgent
from constellation_devices.home import open_home
from constellation_devices.progress import MAX_WAITING_ITEMS
from constellation_devices.runtime import stay_connected
from constellation_protocol import ReconnectPolicy
from constellation_protocol.kinds import DeviceSpec
from constellation_tools import ToolContext, tool

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

STARS = 1000
LINES = 10
CUTS = 200
AT_ONCE = ReconnectPolicy(first_delay_s=0.0, max_delay_s=0.01)


async def test_ten_thousand_reports_and_a_thousand_results_survive_200_cuts(tmp_path: Path) -> None:
    assert LINES < MAX_WAITING_ITEMS
    chance = random.Random(3)
    effects: list[int] = []

    @tool
    async def speak(context: ToolContext, number: int) -> int:
        """Have an effect, and report ten times."""
        effects.append(number)
        for line in range(LINES):
            context.progress(f"{number} {line}")
            await anyio.lowlevel.checkpoint()
        return number

    graph = TaskConstellation("speeches")
    for number in range(STARS):
        graph.star(f"s{number}", "speak", arguments={"number": number})
    lines: dict[str, list[str]] = defaultdict(list)
    settled: list[str] = []
    joined = 0
    spec = DeviceSpec("speaker", tools=[speak], slots=4)
    with anyio.fail_after(100), open_home(spec, durable=True) as home:
        async with (
            Orchestrator.serve(journal=":memory:", home=tmp_path / "hub") as hub,
            proxy(int(hub.url.rpartition(":")[2].partition("/")[0])) as wire,
            DeviceAgent(spec, home, worker_processes=False) as agent,
            anyio.create_task_group() as tasks,
        ):
            stay = partial(stay_connected, agent, [f"ws://127.0.0.1:{wire.port}/aip"], token=hub.token)
            tasks.start_soon(partial(stay, linger_s=60.0, reconnect=AT_ONCE))
            await hub.wait_for_devices(1)
            run = await hub.submit(graph)
            async for event in run.events():
                assert not isinstance(event, seen.EventsMissed)
                if isinstance(event, seen.StarProgress):
                    lines[event.star] += (event.text or "").split("\n")
                elif isinstance(event, seen.StarSettled):
                    settled.append(event.star)
                elif isinstance(event, seen.DeviceJoined):
                    joined += 1
                if not wire.armed and wire.cuts < CUTS:
                    wire.cut_after(chance.randrange(2000))
            report = await run.wait()
            cuts = wire.cuts
            tasks.cancel_scope.cancel()

    assert report.state == "succeeded"
    assert report.outputs == {f"s{number}": number for number in range(STARS)}
    assert sorted(effects) == list(range(STARS))
    assert sorted(settled) == sorted(report.outputs)
    assert lines == {f"s{number}": [f"{number} {line}" for line in range(LINES)] for number in range(STARS)}
    assert cuts == CUTS
    assert joined == 1, "one session outlived all its connections"
