"""One chaos run from beginning to end: everything is started, disturbed and stopped, and then compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from constellation.journal import open_journal
from constellation_protocol.tasks import background

from .check import Findings, check
from .conduct import Conductor, Done
from .effects import read_effects
from .plan import Disturbance, Kind, make_graph, plan_disturbances, plan_stars
from .progress import Progress
from .stage import Stage, left_behind, open_stage


@dataclass(frozen=True, slots=True)
class Chaos:
    """What is to be done.

    Attributes:
        stars: How many stars there are.
        disturbances: What is done to them, how often.
        devices: How many devices there are.
        hubs: How many hubs share the journal.
        seed: What everything random follows from, as far as it is in our hands.
        work_s: How long a star takes on the average, in seconds.
        patience_s: Seconds without a record after which the run counts as standing still.
        journal: The journal's URL, None for a file beside everything else.
    """

    stars: int
    disturbances: Mapping[Kind, int]
    devices: int
    hubs: int
    seed: int
    work_s: float
    patience_s: float
    journal: str | None

    def schedule(self) -> list[Disturbance]:
        """What is done when."""
        return plan_disturbances(self.stars, self.disturbances, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of it.

    Attributes:
        run: The run's id.
        findings: What the effects and the journal come to.
        done: What was done to the run.
        undone: What was to be done, and was not before the run was over, in words.
        crashes: Programs that have ended by themselves, and how.
        left_behind: Processes that were still there when everything had been stopped.
        elapsed_s: Seconds from submission to the end of the last star.
    """

    run: str
    findings: Findings
    done: Done
    undone: tuple[str, ...]
    crashes: tuple[str, ...]
    left_behind: tuple[str, ...]
    elapsed_s: float

    def faults(self) -> list[str]:
        """What must not be, in words; empty when all is as it should be."""
        left = [f"processes left behind: {', '.join(self.left_behind)}"] if self.left_behind else []
        return [*self.findings.faults(), *self.undone, *self.crashes, *left]


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand.

    Attributes:
        progress: How far the run is.
        done: What was done to it so far.
        stage: What is there.
    """

    progress: Progress
    done: Done
    stage: Stage


async def carry_out_chaos(chaos: Chaos, folder: Path, show: Callable[[Moment], None]) -> Outcome:
    """Carry it out.

    Args:
        chaos: What is to be done.
        folder: An empty directory for everything; it stays.
        show: Is told again and again how things stand.

    Raises:
        Standstill: nothing happens any more.
    """
    planned = plan_stars(chaos.stars, seed=chaos.seed, work_s=chaos.work_s)
    journal = chaos.journal if chaos.journal is not None else str(folder / "journal.db")
    try:
        async with open_stage(
            folder, journal=journal, hubs=chaos.hubs, devices=chaos.devices, seed=chaos.seed
        ) as stage:
            # A star may be there whenever something is done: that alone is not to end it.
            run = await stage.submit(make_graph(planned), max_losses=sum(chaos.disturbances.values()))
            began = time.monotonic()
            async with open_journal(journal) as opened, background() as tasks:
                progress = Progress(opened, run, patience_s=chaos.patience_s, looked=lambda: show(moment))
                conductor = Conductor(stage, run, progress)
                moment = Moment(progress, conductor.done, stage)
                tasks.start_soon(progress.follow)
                tasks.start_soon(conductor.carry_out, chaos.schedule())
            elapsed_s = time.monotonic() - began
    finally:
        with anyio.CancelScope(shield=True):
            left = await left_behind(folder)
    account = progress.account
    # Read when nothing runs any more that could write there.
    effects = read_effects([device.root for device in stage.devices])
    findings = check(planned, account.stars(), account.attempts, effects)
    undone = _undone(chaos, conductor.done)
    return Outcome(run, findings, conductor.done, undone, tuple(stage.crashes), tuple(left), elapsed_s)


def _undone(chaos: Chaos, done: Done) -> tuple[str, ...]:
    counts = {Kind.KILL: done.kills, Kind.CUT: done.cuts, Kind.FREEZE: done.freezes}
    return tuple(
        f"only {counts[kind]} of {wanted} {kind}s before the run was over: give more --stars, or longer --work-ms"
        for kind, wanted in chaos.disturbances.items()
        if counts[kind] < wanted
    )
