"""Files of a run when things go wrong: the device that made one is gone, or the file itself is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orchestra_tools import count_lines, write_artifact

from constellation import Approval, DeviceSpec, Orchestrator, TaskConstellation
from constellation.orchestrator import events as seen

pytestmark = pytest.mark.anyio


def handed_on() -> TaskConstellation:
    graph = TaskConstellation("handed on")
    made = graph.star("make", write_artifact, lines=1000, device="one")
    gate = graph.star("gate", Approval("Go on?"), after=[made])
    graph.star("count", count_lines, file=made.output, device="two", after=[gate])
    return graph


async def test_a_file_outlives_the_device_that_made_it() -> None:
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=[DeviceSpec("one"), DeviceSpec("two")]) as orchestrator:
            run = await orchestrator.submit(handed_on())
            async for event in run.events():
                if isinstance(event, seen.ApprovalRequested):
                    await orchestrator._book.offering._devices[0].aclose()
                    while [device.name for device in await orchestrator.devices()] != ["two"]:
                        await orchestrator._book.hub.wait_changed()
                    await run.approve("gate")
            assert await run.result() == {"count": 1000}


async def test_a_star_whose_file_is_gone_fails_and_says_so() -> None:
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=[DeviceSpec("one"), DeviceSpec("two")]) as orchestrator:
            run = await orchestrator.submit(handed_on())
            async for event in run.events():
                if isinstance(event, seen.ApprovalRequested):
                    for folder in (orchestrator.home / "artifacts").glob("??"):
                        shutil.rmtree(folder)
                    await run.approve("gate")
            report = await run.wait()
    rows = {row.id: row for row in report.rows}
    assert rows["count"].state == "failed"
    assert "it is not here" in (rows["count"].error or "")
