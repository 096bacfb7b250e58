"""One run of the workload, under holds or under a global lock, in the process that it has for itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import anyio

from constellation import DeviceSpec, Orchestrator, Planner, Review, Run, RunReport

from .workload import Workload

WORK = f"{__package__}.work:work"


class Mode(StrEnum):
    """What a review does to the rest of the run."""

    NO_REVIEW = "no_review"
    """There is no planner."""
    HOLD = "hold"
    """What Constellation does: what comes after the star is held."""
    GLOBAL_LOCK = "global_lock"
    """While a review goes on nothing new is started, and there is one review at a time."""


class _Reviewer:
    """A planner that takes its time over some stars and changes nothing."""

    def __init__(self, workload: Workload) -> None:
        self._stars = workload.reviewed()
        self._review_s = workload.review_s

    async def __call__(self, review: Review) -> None:
        if review.star.id in self._stars:
            await self._review()

    async def _review(self) -> None:
        await anyio.sleep(self._review_s)


class _LockingReviewer(_Reviewer):
    """One that has the whole run to itself meanwhile, by what any user can do: pause it."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._lock = anyio.Lock()
        self._submitted = anyio.Event()
        self._run: Run | None = None

    def take(self, run: Run) -> None:
        """Learn what run it is."""
        self._run = run
        self._submitted.set()

    async def _review(self) -> None:
        await self._submitted.wait()
        assert self._run is not None
        async with self._lock:
            await self._run.pause()
            await super()._review()
            await self._run.unpause()


def measure(mode: str, workload: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Run a workload; returns how long it took, and when the last unrelated star had ended, in seconds."""
    return anyio.run(_measure, Mode(mode), Workload(**workload), folder)


async def _measure(mode: Mode, workload: Workload, folder: Path) -> dict[str, float]:
    devices = [DeviceSpec(f"device-{number}", slots=workload.width, tools=[WORK]) for number in (1, 2)]
    async with Orchestrator.local(devices, home=folder / "home") as orchestrator:
        planner = _planner(mode, workload)
        run = await orchestrator.submit(workload.graph(), planner=planner)
        if isinstance(planner, _LockingReviewer):
            planner.take(run)
        report = await run.wait()
    report.raise_for_state()
    everything = {row.id for row in report.rows}
    return {"total_s": _took_s(report, everything), "unrelated_s": _took_s(report, workload.unrelated())}


def _planner(mode: Mode, workload: Workload) -> Planner | None:
    match mode:
        case Mode.NO_REVIEW:
            return None
        case Mode.HOLD:
            return _Reviewer(workload)
        case Mode.GLOBAL_LOCK:
            return _LockingReviewer(workload)


def _took_s(report: RunReport, stars: set[str]) -> float:
    """Seconds from the start of the first star of all to the end of the last of these."""
    began = min(row.started_at for row in report.rows if row.started_at is not None)
    return max(row.ended_at for row in report.rows if row.ended_at is not None and row.id in stars) - began
