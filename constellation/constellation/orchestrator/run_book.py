"""The runs in hand: what the engine's scheduler wants done for them, and what is told to those who watch them.

`RunBook` is the engine's carrier. It sends what is to go to devices, has planners look at stars that have ended, turns
what has happened into events for observers, notes the ends of runs, and keeps the claims on them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio.abc import TaskGroup

from constellation_protocol.messages import DeviceProfile, Progress
from constellation_protocol.signal import Signal

from ..graph import Approval, EditRejected, StarId, TaskStar
from ..journal import EnduringJournal, Journal
from ..scheduling import (
    JournalEntry,
    PlacementPolicy,
    RunEnded,
    RunId,
    RunMachine,
    Scheduler,
)
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.attempt_rules import DEVICE_LOST
from ..scheduling.nesting import seen_from_outside
from . import events as out
from .admission import check_stars
from .claims import Claims
from .engine import Engine
from .errors import AdmissionRefused, OrchestratorStopped, RunInUse
from .event_log import EventLog
from .hub import ConnectedDevice, Hub
from .notices import (
    Notes,
    from_entry,
    notes_of_assignment,
    notes_of_end,
    notes_of_rarity,
    notes_of_start,
    number_of,
    run_finished,
)
from .offering import Offering
from .planning import Planner, consult, review_of
from .run import LocalRun
from .state_dump import RunDump, live_run, make_dump

MAX_ENDED_RUNS = 100
"""How many runs that have ended are kept in memory, for observers that come late; the journal has them all."""

MAX_LOOKS = 5
"""How often a planner looks at one star when other edits keep coming in between."""


class RunBook:
    """The runs of an orchestrator, with the parts that they need.

    Attributes:
        journal: Where runs are kept; what is written to it waits while its store is away.
        claims: Keeps others on the journal from the runs.
        engine: Drives the scheduler.
        hub: The devices.
        offering: The functions of this process that devices offer.
        runs: The runs in hand, and the last ones that have ended.
        planners: Who looks at the stars of each run that has not ended, those included that are being submitted.
        lost_one: Tells that a run has been lost to another orchestrator.
    """

    def __init__(
        self,
        journal: Journal,
        tasks: TaskGroup,
        *,
        artifacts: Path,
        policy: PlacementPolicy | None,
        no_device_patience_s: float,
        journal_patience_s: float,
    ) -> None:
        """Make a book without runs; see `Orchestrator.serve` for the arguments."""
        self.claims = Claims(self)
        self.journal = journal
        if journal.may_be_away:
            self.journal = EnduringJournal(journal, reclaim=self.claims.look_again, patience_s=journal_patience_s)
        self.runs: dict[RunId, LocalRun] = {}
        self.planners: dict[RunId, Planner | None] = {}
        self.lost_one = Signal()
        self.engine = Engine(Scheduler(policy=policy, no_device_patience_s=no_device_patience_s), self.journal, self)
        self.hub = Hub(
            self.engine, tasks, artifacts=artifacts, on_progress=self._progressed, on_fleet=self._fleet_changed
        )
        self.offering = Offering(self.hub)
        self._tasks = tasks
        self._ended: deque[RunId] = deque()
        self._stopping = False

    def stop(self) -> None:
        """Take in nothing more: what devices say while they are closed is not what became of their work."""
        self._stopping = True
        self.claims.stop()
        self.engine.stop()
        if isinstance(self.journal, EnduringJournal):
            self.journal.wait_no_more()

    @property
    def owner(self) -> str:
        """How this orchestrator signs its claims."""
        return self.claims.owner

    async def give_up(self, run: RunId, why: Exception) -> None:
        """Let another orchestrator on the journal have a run that has not ended, with those nested in it."""
        held = self.runs[run]
        self.engine.disown(run, why)
        while self.runs.get(run) is held:
            await self.lost_one.wait()
        await self.journal.release(run, owner=self.owner)

    def outermost(self, run: RunId) -> RunId:
        """The run in hand that one in hand is nested in, at whatever depth; itself when it is in none."""
        machine = self.runs[run].machine
        while machine.parent is not None and machine.parent[0] in self.runs:
            machine = self.runs[machine.parent[0]].machine
        return machine.run

    def family(self, run: RunId) -> set[RunId]:
        """A run in hand with those in hand that are nested in it, at whatever depth."""
        family = {run}
        for held in self.runs.values():  # outer runs come before those nested in them
            if held.machine.parent is not None and held.machine.parent[0] in family:
                family.add(held.machine.run)
        return family

    # --- what runs need ----------------------------------------------------------------------------------------------

    def add(self, machine: RunMachine, *, judged_from: float = 0.0) -> None:
        """Take a run in hand; edits of it are held against the connected devices from an instant on."""
        admit = partial(self.admit_stars, judged_from)
        self.runs[machine.run] = LocalRun(machine, EventLog(machine.run), self.engine, self.offer, admit)

    def drop(self, run: RunId) -> None:
        """Forget a run at once."""
        self.engine.let_go(run)
        self.planners.pop(run, None)
        del self.runs[run]
        with suppress(ValueError):
            self._ended.remove(run)

    async def offer(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Have devices in this process offer functions; raises DeviceUnsuited, NameTaken."""
        going_on = any(not run.machine.ended for run in self.runs.values())
        await self.offering.offer(functions, needed=going_on)

    @property
    def profiles(self) -> dict[str, DeviceProfile]:
        """What the connected devices say of themselves."""
        return {name: device.profile for name, device in self.hub.devices.items()}

    def admit_stars(self, judged_from: float, stars: Iterable[TaskStar]) -> None:
        """See that the connected devices can carry out stars that an edit brings; raises AdmissionRefused.

        Before `judged_from` the devices may still be on their way back, so that nothing can be said.
        """
        if self.engine.clock() < judged_from:
            return
        problems = check_stars(stars, self.profiles)
        if problems:
            raise AdmissionRefused(problems)

    async def dump(self, run: str, *, redact: bool) -> RunDump:
        """See `Orchestrator.dump`."""
        live = {str(id): live_run(held.machine, self.engine.last_record(id)) for id, held in self.runs.items()}
        return await make_dump(self.journal, run, live=live, redact=redact)

    # --- the engine's carrier ----------------------------------------------------------------------------------------

    def entered(self, entry: JournalEntry) -> None:
        """See `Carrier.entered`."""
        event = entry.event
        if isinstance(event, ev.RunStarted):
            self.add(self.engine.scheduler.runs[event.run])
        machine = self.runs[event.run].machine
        log = self.runs[event.run].log
        notice = from_entry(event, machine, log.next_seq)
        if notice is not None:
            log.publish(notice)
        if isinstance(event, (ev.RunStarted, ev.RunRecovered)):
            for device in self.hub.devices.values():
                self._announce(self.runs[event.run], device, None)

    def carry_out(self, commands: Sequence[cmd.Command], at: float) -> None:
        """See `Carrier.carry_out`: do what they say, and note what those who watch their runs are told of them."""
        runs, actions, notes = self.runs, _ACTIONS, _NOTES
        for command in commands:
            kind = type(command)
            if isinstance(command, cmd.Dispatch):  # what most are, without a call in between
                self.hub.dispatch(command)
            elif kind in actions:
                actions[kind](self, command, at)
            if kind in notes:
                held = runs.get(command.run)
                if held is not None:
                    held.log.note(notes[kind](command, at))
                    if held.machine.parent is not None:
                        self._tell_around(held.machine, command, at)

    def _tell_around(self, inner: RunMachine, command: Any, at: float) -> None:
        """Tell of a question inside a nested constellation, or of the end of one, around it as well.

        Whoever follows a run sees what it waits for, and may answer there.
        """
        if isinstance(command, (cmd.AskApproval, cmd.StarSettled)) and isinstance(
            inner.graph[command.star].work, Approval
        ):
            for run, path in seen_from_outside(self.engine.scheduler.runs, inner, command.star):
                around = self.runs.get(run)
                if around is not None:
                    around.log.note(_NOTES[type(command)](replace(command, run=run, star=path), at))

    def _cancel(self, command: cmd.CancelAttempt, at: float) -> None:
        self.hub.cancel(command)

    def _begin_review(self, command: cmd.RequestReview, at: float) -> None:
        self._tasks.start_soon(self._review, command.run, command.star)

    def _note_retry(self, command: cmd.StarRetrying, at: float) -> None:
        run = self.runs.get(command.run)
        if run is not None and command.error.type == DEVICE_LOST and command.device is not None:
            run.moved[command.star] = command.device

    def _end(self, command: cmd.RunSettled, at: float) -> None:
        run = self.runs.get(command.run)
        if run is not None:
            self._tasks.start_soon(self._finish, run, run_finished(run.log.next_seq, at, command, run.machine))

    def lost(self, run: RunId, error: Exception) -> set[RunId]:
        """See `EngineCarrier.lost`."""
        if run not in self.runs:
            return {run}
        family = self.family(self.outermost(run))
        for member in family:
            taken = f"run {member} has been taken over by another orchestrator"
            at_work = (attempt.device for attempt in self.runs[member].machine.attempts.values())
            self.hub.send_away(at_work, f"{taken}, which is to have what this device has done for it")
            self.runs[member].log.close(RunInUse(f"{taken}; follow it there ({error})"))
            self.drop(member)
        self.lost_one.notify()
        return family

    async def _finish(self, run: LocalRun, notice: out.RunFinished) -> None:
        """Note the end in the journal's summary, and tell it only then."""
        self.hub.quota.forget(run.machine.run)
        info = {"stars": dict(notice.stars), "width": notice.width, "makespan_s": notice.makespan_s}
        with self.claims.unless_stopping():
            await self.journal.set_state(run.id, notice.state, at=notice.time, info=info)
            if run.machine.parent is None:
                await self.journal.release(run.id, owner=self.owner)
            self._finished(run, replace(notice, seq=run.log.next_seq))

    def _finished(self, run: LocalRun, notice: out.RunFinished) -> None:
        run.log.publish(notice)
        if self.runs.get(run.machine.run) is not run:
            return  # it was lost to another orchestrator meanwhile
        self.engine.let_go(run.machine.run)
        self.planners.pop(run.machine.run, None)
        self._ended.append(run.machine.run)
        if len(self._ended) > MAX_ENDED_RUNS:
            del self.runs[self._ended.popleft()]

    # --- planners ----------------------------------------------------------------------------------------------------

    async def _review(self, run: RunId, star: StarId) -> None:
        """Have the planner look at a star, and let what waits for it go on."""
        owner = self.runs.get(run)
        planner = self.planners.get(run)
        if owner is None:
            return
        note = ""
        if planner is not None:
            try:
                await self._plan(planner, owner, star)
            except (OrchestratorStopped, RunEnded, RunInUse):
                return
            except Exception as error:  # whatever a planner does wrong, the run goes on without its edit
                note = f"{type(error).__name__}: {error}"
                owner.log.publish(
                    out.EditRefused(seq=owner.log.next_seq, time=self.engine.clock(), run=run, star=star, message=note)
                )
        self.engine.post(ev.HoldReleased(self.engine.clock(), run, star, note))

    async def _plan(self, planner: Planner, owner: LocalRun, star: StarId) -> None:
        """Apply what the planner makes of a star; when another edit came in between, let it look again."""
        graph = owner.machine.graph
        for chance in range(1, MAX_LOOKS + 1):
            version = graph.version
            edit = await consult(planner, review_of(owner.machine.run, graph, star))
            if edit is None:
                return
            try:
                await owner.edit(edit)
            except EditRejected:
                # What it names may have been changed or removed while it was made.
                if chance == MAX_LOOKS or graph.version == version:
                    raise
            else:
                return

    # --- what devices let be known -----------------------------------------------------------------------------------

    def _progressed(self, run: RunId, star: str, device: str, message: Progress) -> None:
        owner = self.runs.get(run)
        attempt = owner.machine.attempts.get(ev.AttemptId(message.attempt)) if owner is not None else None
        if owner is None or attempt is None or attempt.device != device or attempt.epoch != message.epoch:
            return
        owner.log.publish(
            out.StarProgress(
                seq=owner.log.next_seq,
                time=self.engine.clock(),
                run=run,
                star=star,
                device=device,
                attempt=number_of(message.attempt),
                text=message.text,
                fraction=message.fraction,
                data=message.data,
            )
        )

    def _fleet_changed(self, device: ConnectedDevice, gone: str | None) -> None:
        if self._stopping:
            return
        for run in self.runs.values():
            if run.log.finished is None:
                self._announce(run, device, gone)

    def _announce(self, run: LocalRun, device: ConnectedDevice, gone: str | None) -> None:
        seq, now = run.log.next_seq, self.engine.clock()
        if gone is not None:
            run.devices_lost.append(device.name)
            run.log.publish(out.DeviceLeft(seq=seq, time=now, run=run.id, device=device.name, reason=gone))
            return
        profile = device.profile
        run.log.publish(
            out.DeviceJoined(
                seq=seq,
                time=now,
                run=run.id,
                device=device.name,
                slots=profile.slots,
                pid=profile.pid,
                labels=profile.labels,
            )
        )
        if device.ignored_tools or device.ignored_labels:
            run.log.publish(
                out.DeviceRestricted(
                    seq=run.log.next_seq,
                    time=now,
                    run=run.id,
                    device=device.name,
                    tools=device.ignored_tools,
                    labels=device.ignored_labels,
                )
            )


_ACTIONS: Mapping[type, Callable[[RunBook, Any, float], None]] = {
    cmd.CancelAttempt: RunBook._cancel,
    cmd.RequestReview: RunBook._begin_review,
    cmd.StarRetrying: RunBook._note_retry,
    cmd.RunSettled: RunBook._end,
}
"""How commands are carried out; what is not here has been done by the scheduler itself, or is only told."""

_NOTES: Mapping[type, Callable[[Any, float], Notes]] = {
    cmd.Dispatch: notes_of_assignment,
    cmd.StarStarted: notes_of_start,
    cmd.StarSettled: notes_of_end,
    cmd.StarRetrying: notes_of_rarity,
    cmd.EditApplied: notes_of_rarity,
    cmd.AskApproval: notes_of_rarity,
    cmd.ProposalSettled: notes_of_rarity,
}
"""What is kept of commands that are told."""
