"""The demo as an application: its planner and its report, also for a run that `constellation resume` takes up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from constellation import Planner, Run
from constellation.console.report import render_report
from constellation.journal import Journal
from constellation.orchestrator.recovery import read_entries

from .planner import plan_looks
from .report import findings_blocks
from .story import tell

NAME = "demo"


class DemoApp:
    """What it takes to carry out a run of the demo, by whichever command."""

    def info(self, *, seed: int, root: Path, report: Path) -> dict[str, Any]:
        """What is kept with a run, so that it can be taken up again."""
        return {"app": NAME, "seed": seed, "root": str(root), "report": str(report)}

    def planner(self, info: Mapping[str, Any]) -> Planner:
        """Who adds deeper looks to a run."""
        return plan_looks

    def report_file(self, info: Mapping[str, Any]) -> Path | None:
        """Where the run's report was to go when it began."""
        report = info.get("report")
        return Path(report) if isinstance(report, str) else None

    async def write_report(self, run: Run, journal: Journal, path: Path) -> None:
        """Write the report of a run that has ended.

        Raises:
            OSError: the file can't be written.
        """
        account, graph = await run.wait(), await run.graph()
        story = tell(await read_entries(journal, run.id))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        blocks = findings_blocks(account, graph, story, cores=cores)
        # The story also knows what was lost before the run was taken up, and what took its place.
        told_already = replace(account, devices_lost=())
        await anyio.Path(path).write_text(render_report(told_already, graph, findings=blocks), encoding="utf-8")


APP = DemoApp()
