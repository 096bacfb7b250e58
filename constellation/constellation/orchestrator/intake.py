"""Taking runs in: graphs that are submitted, and runs that are brought back from the journal."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from ..graph import GraphError, TaskConstellation
from ..graph.collector import no_collections
from ..graph.snapshot import Snapshot
from ..journal import JournalError
from ..scheduling import (
    JournalEntry,
    RunId,
    RunOptions,
    SchedulingError,
)
from ..scheduling import events as ev
from ..scheduling.run import RECONCILE_S
from .admission import admit, find_problems
from .engine import check_size
from .errors import AdmissionRefused, CannotResume, DecisionNeeded, OrchestratorStopped, RunInUse
from .fleets import surviving
from .gathering import Gatherer, gatherer_for
from .planning import Planner
from .recovery import MAX_RUNS, claim, read_family, replay
from .run import LocalRun, noted
from .run_book import RunBook

if TYPE_CHECKING:
    from ..planner import Remark

FLEET_KEY = "fleet"
"""Where a run's info says which devices it was run on, if those can be brought back."""

HUB_KEY = "hub"
"""What a run's info holds that was submitted to a hub: other hubs on its journal go on with it."""

CALL_S = 10.0
"""How long a hub at which no device is connected waits for those of other hubs before it refuses a graph, in seconds.

They look at the journal every five seconds, and the devices need a moment to get here."""

MANY_STARS = 1000
"""From how many stars on it pays to spare the collector of garbage the looks at a graph that is run."""


class Intake:
    """How runs come into a book.

    Attributes:
        fleet: The id of the devices that runs are noted to have run on, when those can be brought back.
        at_hub: Whether they are noted to have been submitted to a hub.
        shared: Whether other hubs may use the journal, and have devices.
        planner: Looks at the stars of runs that have none of their own.
    """

    def __init__(self, book: RunBook, planner: Planner | None) -> None:
        self.fleet: str | None = None
        self.at_hub = False
        self.shared = False
        self._book = book
        self.planner = planner

    async def submit(
        self,
        graph: TaskConstellation,
        *,
        options: RunOptions | None = None,
        info: Mapping[str, Any] | None = None,
        planner: Planner | None = None,
        run: RunId | None = None,
        remarks: Sequence[Remark] = (),
    ) -> LocalRun:
        """See `Orchestrator.submit`.

        `run` is the id that it is to have, of `new_run_id`; `remarks` is what its planner has said before it began.
        """
        for key in (FLEET_KEY, HUB_KEY):
            if key in (info or {}):
                raise ValueError(f"{key!r} can't be among a run's info: the orchestrator notes there where it was run")
        await self._book.offer(graph.functions)
        profiles = self._book.profiles
        problems = find_problems(graph, profiles)
        if problems and (profiles or not (self.at_hub and self.shared)):
            raise AdmissionRefused(problems)
        run = run or new_run_id()
        planner = planner if planner is not None else self.planner
        options = replace(options if options is not None else RunOptions(), review=planner is not None)
        kept = {
            **(info or {}),
            **({FLEET_KEY: self.fleet} if self.fleet else {}),
            **({HUB_KEY: True} if self.at_hub else {}),
        }
        journaled = self._book.journal.keeps_records
        with no_collections(then_old=len(graph) >= MANY_STARS):
            snapshot = Snapshot(graph, once=not journaled)
        started = ev.RunStarted(self._book.engine.clock(), run, snapshot, options)
        if journaled:
            check_size(started)
        # Shielded for as long as the journal takes: a run is in it with its first record, or not at all.
        try:
            with anyio.CancelScope(shield=True) as shield:
                async with self._entered(run, graph.name, started.at, kept, planner):
                    if problems:
                        shield.shield = False
                        await self._call_devices(graph)
                        shield.shield = True
                    await self._book.engine.ask(started, *(noted(started.at, run, remark) for remark in remarks))
        except OrchestratorStopped:
            await anyio.lowlevel.checkpoint_if_cancelled()  # who is stopped together with it is told that, and no error
            raise
        return self._book.runs[run]

    @asynccontextmanager
    async def _entered(
        self, run: RunId, name: str, at: float, info: Mapping[str, Any], planner: Planner | None
    ) -> AsyncIterator[None]:
        """Have a run in the journal, claimed and said to go on; what is raised in here removes it again."""
        await self._book.journal.create_run(run, name=name, at=at, info=info)
        self._book.planners[run] = planner
        try:
            await claim(self._book.journal, run, owner=self._book.owner, at=at)
            await self._book.journal.set_state(run, "running", at=at)
            yield
        except (GraphError, SchedulingError, OrchestratorStopped, AdmissionRefused, anyio.get_cancelled_exc_class()):
            del self._book.planners[run]
            with anyio.CancelScope(shield=True):
                await self._book.journal.delete(run)
            raise

    async def _call_devices(self, graph: TaskConstellation) -> None:
        """Wait until devices are here that can carry a graph out; raises AdmissionRefused when they don't come.

        The run is in the journal by now: hubs that have none themselves send their devices to where one goes on.
        """
        with anyio.move_on_after(CALL_S):
            while find_problems(graph, self._book.profiles):
                await self._book.hub.wait_changed()
        admit(graph, self._book.profiles)

    async def resume(self, run: str, *, planner: Planner | None = None, rerun_unknown: bool = False) -> LocalRun:
        """See `Orchestrator.resume`."""
        summary = await self._book.journal.run(run)
        found = RunId(summary.run)
        if found not in self._book.runs:
            return await self.take_up(found, planner or self.planner, rerun_unknown, admitted_only=True)
        held = self._book.runs[found]
        waiting = self._book.planners.get(found)
        if isinstance(waiting, Gatherer) and not waiting.attended:
            waiting.close()  # for a planner that is not wanted
        if not held.machine.ended:
            self._admit(held.machine.graph)
        return held

    async def reopen(self, run: str, planner: Planner | None, rerun_unknown: bool | None, *, home: Path) -> str:
        """See `Orchestrator.reopen`: bring a run back before its devices are, and return what those are called.

        What the planner of a request is to look at waits for it, or for `resume`.
        """
        summary = await self._book.journal.run(run)
        if summary.state in ("succeeded", "failed", "cancelled"):
            raise CannotResume(f"run {summary.run} has {summary.state} already; see it with `constellation show`")
        fleet = summary.info.get(FLEET_KEY)
        if not isinstance(fleet, str):
            raise CannotResume(
                f"run {summary.run} was not run on devices that can be started again; "
                "start an orchestrator with devices and resume it there"
            )
        planner = planner or gatherer_for(summary.info)
        survivors = surviving(home, fleet) if rerun_unknown is None else None
        await self.take_up(RunId(summary.run), planner, bool(rerun_unknown), survivors=survivors)
        return fleet

    def _admit(self, graph: TaskConstellation) -> None:
        admit(graph, self._book.profiles)

    async def take_up(
        self,
        run: RunId,
        planner: Planner | None,
        rerun_unknown: bool,
        *,
        admitted_only: bool = False,
        survivors: frozenset[str] | None = None,
    ) -> LocalRun:
        """Bring a run and those nested in it back from the journal, before or after their devices have come back.

        With `survivors`, the devices that live on, it is refused when work on others may or may not have been done.
        """
        await claim(self._book.journal, run, owner=self._book.owner, at=self._book.engine.clock())
        try:
            if planner is None:  # that of a request may come back
                planner = gatherer_for((await self._book.journal.run(run)).info, closed=True)
            family = await read_family(self._book.journal, run)
            if run in self._book.runs:
                return self._book.runs[run]  # someone else has asked for the same meanwhile
            top = replay(family[run])
            if all(replay(entries).ended for entries in family.values()):
                await self._book.journal.set_state(run, top.state, at=self._book.engine.clock())
                raise CannotResume(f"run {run} has {top.state} already; see it with `constellation show`")
            if survivors is not None:
                _refuse_to_guess(run, family, survivors)
            if admitted_only:
                self._admit(top.graph)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._book.journal.release(run, owner=self._book.owner)
            raise
        self._book.planners[run] = planner
        judged_from = self._book.engine.clock() + RECONCILE_S
        for member, entries in family.items():
            machine = self._book.engine.scheduler.recover(entries)
            self._book.engine.recovered(member, len(entries))
            self._book.hub.begin_above(max((attempt.epoch for attempt in machine.attempts.values()), default=0))
            self._book.add(machine, judged_from=judged_from)
        now = self._book.engine.clock()
        going_on = [member for member in family if not self._book.runs[member].machine.ended]
        try:
            await self._book.engine.ask(
                *(ev.RunRecovered(now, each, planner is not None and each == run, rerun_unknown) for each in going_on)
            )
        except RunInUse as error:
            raise RunInUse(
                f"run {run} was written to by its earlier orchestrator while it was taken over; try again"
            ) from error
        for member in family:
            if member not in going_on and not self._book.engine.scheduler.waits_for_nested(member):
                # It was needed for its parent to learn how it had ended.
                self._book.drop(member)
        return self._book.runs[run]

    async def needs_fleet(self) -> bool:
        """Whether a run that has not ended was run on the devices of this orchestrator's own."""
        with anyio.CancelScope(shield=True):
            try:
                going_on = await self._book.journal.runs(limit=MAX_RUNS, state="running")
            except JournalError:
                return True
        return any(summary.info.get(FLEET_KEY) == self.fleet for summary in going_on)


def _refuse_to_guess(run: RunId, family: Mapping[RunId, Sequence[JournalEntry]], survivors: frozenset[str]) -> None:
    """Raise DecisionNeeded when a run was stopped in the middle of work that must not be done twice."""
    cut_off = [
        attempt.star
        for entries in family.values()
        for attempt in replay(entries).attempts.values()
        if not attempt.idempotent and attempt.device not in survivors
    ]
    if cut_off:
        raise DecisionNeeded(run, cut_off)


def new_run_id(now: Callable[[], float] = time.time) -> RunId:
    """A run id that sorts by time and can be typed: the date, the time of day, and six random letters."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now()))
    return RunId(f"{stamp}-{''.join(secrets.choice('abcdefghjkmnpqrstvwxyz') for _ in range(6))}")
