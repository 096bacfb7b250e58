"""The scheduler: all runs and the fleet in one deterministic state machine.

Events go in, entries and commands come out. It has no clock and does no I/O: time comes with the events, and
`next_due_at` says when it wants a `Tick`. What it returns is to be done in this order: write the entries to the
journal, then carry the commands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..graph import InvalidDocument, StarError, StarId
from . import events as ev
from .commands import AboutRuns, CancelAttempt, CancelNested, Command, RunSettled, StartNested, Step
from .durations import Durations, work_key
from .endings import Endings
from .errors import RunExists, UnknownRun
from .events import DeviceId, JournalEntry, RunEvent, RunId, RunStarted
from .fleet import Fleet
from .inputs import DeviceChanged, DeviceDraining, DeviceJoined, DeviceLeft, FleetEvent, Tick
from .invariants import check_scheduler
from .kinds import LAST_REPORTS, NEWS, OF_RUNS, OF_THE_FLEET
from .matching import resource_needs
from .nesting import begin_nested, end_nested, is_wanted
from .placement import NOTHING_NEARBY, POLICY_FAILED, DeviceLoad, PlacementPolicy
from .reconciling import reconciled, unwanted_attempts
from .run import RunMachine
from .waiting import Waiting

TICK_S = 1.0
"""How often stars that no device matches are looked at."""


class Scheduler:
    """Runs and devices.

    Attributes:
        runs: The runs that are held, ended ones included until they are dropped.
        fleet: The devices.
        stale: How many events of the fleet came under a fence that is not the present one.
    """

    def __init__(
        self, *, policy: PlacementPolicy | None = None, no_device_patience_s: float = 30.0, validate: bool = False
    ) -> None:
        """Make a scheduler.

        Args:
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star may wait while no device of the fleet matches it, in seconds.
            validate: Look at all invariants after every event, which makes each cost as much as the whole state.
        """
        self.runs: dict[RunId, RunMachine] = {}
        self.fleet = Fleet(policy, Durations())
        self._waiting = Waiting(self.fleet)
        self.stale = 0
        self._patience_s = no_device_patience_s
        self._validate = validate
        self._next_tick_at: float | None = None
        self._endings = Endings(self.runs)
        self._others: list[tuple[RunMachine, AboutRuns]] | None = None

    # --- events in ---------------------------------------------------------------------------------------------------

    def handle(self, event: RunEvent | FleetEvent) -> Step:
        """Take one event in, and give stars that wait to devices; see `take` for what it raises."""
        step = Step()
        self.take(event, step)
        self.place(event.at, step)
        return step

    def take(self, event: RunEvent | FleetEvent, step: Step) -> None:
        """Take one event in, and add what follows from it to a step. When a group of them is in, `place` is due.

        Raises:
            UnknownRun, RunExists, RunEnded, NotWaiting, EditRejected, UnknownStar, InvalidDocument: a request that
                can't be granted; nothing has changed.
            InvariantBroken: in validate mode, the state is inconsistent.
        """
        kind = type(event)
        some: Any = event
        if kind in OF_THE_FLEET:
            self._handle_fleet(some, step)
        elif kind is RunStarted:
            self._start(some, step)
        else:
            self._apply(some, step)
        if self._next_tick_at is None:
            self._next_tick_at = event.at + TICK_S
        if self._validate:
            check_scheduler(self)

    def recover(self, entries: Iterable[JournalEntry]) -> RunMachine:
        """Bring a run back by replaying its journal; nothing is carried out.

        Follow it with `RunRecovered`, but not before the runs nested in it, ended ones included, are back as well:
        a nested run that is not here when its parent is taken up again is begun anew.

        Raises:
            UnknownRun: the entries do not begin with the start of the run.
            RunExists: the run is held already.
        """
        machine: RunMachine | None = None
        for entry in entries:
            if machine is None and not isinstance(entry.event, RunStarted):
                raise UnknownRun(entry.event.run)
            self.retrace(entry)
            machine = self.runs[entry.event.run]
        if machine is None:
            raise UnknownRun("")
        for attempt in machine.attempts.values():
            attempt.unconfirmed = attempt.recovered = True
        # Nothing is placed before it is taken up: what is given out sooner would count as given out before the restart.
        self.fleet.set_paused(machine.run, True)
        return machine

    def retrace(self, entry: JournalEntry) -> bool:
        """Take one entry of a journal in again; nothing is carried out.

        Returns:
            Whether it has changed anything, as it did when it was written.

        Raises:
            UnknownRun: the run's start has not been taken in before.
            RunExists: it is the start of a run that is held already.
        """
        event = entry.event
        machine = self._make(event) if isinstance(event, RunStarted) else self.machine(event.run)
        counted = machine.apply(event, [], entry.verdicts) is not None
        machine.concerns_runs = False
        return counted

    def drop(self, run: RunId) -> None:
        """Forget a run that has ended."""
        self.runs.pop(run, None)
        self._endings.drop(run)
        self._waiting.drop(run)

    def waits_for_nested(self, run: RunId) -> bool:
        """Whether a run has ended, but not all that is nested in it, so that its end is yet to be told."""
        return self._endings.is_withheld(run)

    def next_due_at(self) -> float | None:
        """When the scheduler wants a `Tick` at the latest; None when it waits for nothing but events."""
        due = self._waiting.timers.next_due_at()
        if self._next_tick_at is not None and (self.fleet.waiting or any(run.attempts for run in self.runs.values())):
            return self._next_tick_at if due is None else min(due, self._next_tick_at)
        return due

    def machine(self, run: str) -> RunMachine:
        """The machine of a run; raises UnknownRun."""
        found = self.runs.get(RunId(run))
        if found is None:
            raise UnknownRun(run)
        return found

    # --- runs --------------------------------------------------------------------------------------------------------

    def _start(self, event: RunStarted, step: Step) -> None:
        self._make(event)
        self._apply(event, step)

    def _make(self, event: RunStarted) -> RunMachine:
        if event.run in self.runs:
            raise RunExists(event.run)
        machine = RunMachine(event)
        self.runs[event.run] = machine
        machine.desk = self._waiting.begin(event.run, machine.graph)
        return machine

    def _apply(self, event: RunEvent, step: Step) -> None:
        kind = type(event)
        if kind in LAST_REPORTS:
            # The slot is free even when the result comes too late to count.
            report: Any = event
            self.fleet.release(report.device, report.epoch, report.attempt)
        machine = self.runs.get(event.run)
        if machine is None:
            if kind not in NEWS:
                raise UnknownRun(event.run)
            self.stale += 1
            return
        commands = step.commands
        before = len(commands)
        entry = machine.apply(event, commands)
        if entry is None:
            return
        step.entries.append(entry)
        if kind in OF_RUNS:
            step.of_runs.append(entry)
        if machine.concerns_runs:
            machine.concerns_runs = False
            own = commands[before:]
            del commands[before:]
            self._pass_on(machine, own, step)
        follow = _FOLLOWED.get(kind)
        if follow is not None:
            follow(self, machine, event, step)

    def _pass_on(self, machine: RunMachine, commands: list[Command], step: Step) -> None:
        """Pass on what a run wants done where some of it is about other runs, which is done here as well."""
        withhold = self._endings.withhold
        step.commands += [
            command for command in commands if not (isinstance(command, RunSettled) and withhold(command))
        ]
        # What happens to other runs because of this one comes after all that has happened to this one. It is kept on a
        # stack, since a chain of nested runs that end as soon as they begin can be of any length.
        due = [(machine, command) for command in reversed(commands) if isinstance(command, AboutRuns)]
        if self._others is not None:
            self._others += due
            return
        self._others = due
        try:
            while due:
                machine, command = due.pop()
                if isinstance(command, StartNested):
                    self._start_nested(machine, command, step)
                elif isinstance(command, CancelNested):
                    self._cancel_nested(command, machine.at, step)
                elif machine.parent is not None:
                    self._end_nested(machine, step)
        finally:
            self._others = None

    # What events mean for what is not their run.

    def _learn(self, machine: RunMachine, event: ev.AttemptSucceeded, step: Step) -> None:
        """Note how long such work takes on such a device."""
        star = machine.graph._nodes[event.star].star
        self.fleet.durations.observe(work_key(star), event.device, event.duration_s)

    def _take_up(self, machine: RunMachine, event: ev.RunRecovered, step: Step) -> None:
        """Bring a run that was taken up again in line with the devices, and with the run that it is nested in."""
        self.fleet.set_paused(machine.run, machine.state == "paused")
        for device in list(self.fleet.devices.values()):
            self._reconcile(machine, device, event.at, step)
        self._reconcile_nested(machine, step)

    # --- nested runs -------------------------------------------------------------------------------------------------

    def _start_nested(self, parent: RunMachine, command: StartNested, step: Step) -> None:
        known = self.runs.get(command.child)
        if known is not None:
            # After a restart: it goes on by itself, unless its end was all that the parent had not heard of.
            if known.ended:
                self._end_nested(known, step)
            return
        try:
            self._start(begin_nested(parent, command), step)
        except InvalidDocument as error:
            fault = StarError("InvalidDocument", f"the nested constellation can't be run: {error}")
            self._apply(ev.NestedEnded(parent.at, command.run, command.star, error=fault, child=command.child), step)

    def _cancel_nested(self, command: CancelNested, at: float, step: Step) -> None:
        child = self.runs.get(command.child)
        if child is not None and not child.closing:
            self._apply(ev.CancelRequested(at, child.run, reason=command.reason), step)

    def _end_nested(self, child: RunMachine, step: Step) -> None:
        assert child.parent is not None
        parent = self.runs.get(child.parent[0])
        if parent is not None and not parent.ended:
            self._apply(end_nested(child), step)
        else:
            step.commands += self._endings.due_after(child)

    def _follow_pause(self, machine: RunMachine, event: ev.RunPaused | ev.RunUnpaused, step: Step) -> None:
        """Pause the placement of a run's stars, or let it go on, and with it that of the runs nested in it."""
        paused = machine.state == "paused"
        self.fleet.set_paused(machine.run, paused)
        change = ev.RunPaused if paused else ev.RunUnpaused
        for child in [child for child in self.runs.values() if child.parent and child.parent[0] == machine.run]:
            if not child.closing and (child.state == "paused") is not paused:
                self._apply(change(machine.at, child.run), step)

    def _reconcile_nested(self, child: RunMachine, step: Step) -> None:
        """Bring a nested run that was taken up again in line with what its parent has come to meanwhile."""
        if child.parent is None:
            return
        self._endings.take_up(child)
        if child.closing:
            if child.ended:
                step.commands += self._endings.due_after(child)
            return
        parent = self.runs.get(child.parent[0])
        if parent is None or not is_wanted(parent, child):
            reason = "the star that it was started for has ended"
            self._apply(ev.CancelRequested(child.at, child.run, reason=reason), step)
        elif parent.state == "paused" and child.state == "running":
            self._apply(ev.RunPaused(child.at, child.run), step)

    # --- fleet -------------------------------------------------------------------------------------------------------

    def _handle_fleet(self, event: FleetEvent, step: Step) -> None:
        match event:
            case Tick(at):
                self._tick(at, step)
            case DeviceJoined():
                self._join(event, step)
            case DeviceChanged():
                self.stale += not self.fleet.change(event)
            case DeviceDraining(_, device, epoch):
                self.stale += not self.fleet.drain(device, epoch)
            case DeviceLeft(at, device, epoch, reason):
                if self.fleet.leave(device, epoch):
                    why = f"device {device!r} is gone" + (f" ({reason})" if reason else "")
                    self._lose(at, device, step, why)
                else:
                    self.stale += 1

    def _join(self, event: DeviceJoined, step: Step) -> None:
        """A device begins a new session: keep what it still has of its attempts, and give up the rest."""
        if not self.fleet.join(event):
            self.stale += 1
            return
        for machine in list(self.runs.values()):
            self._reconcile(machine, self.fleet.devices[event.device], event.at, step)

    def _reconcile(self, machine: RunMachine, device: DeviceLoad, at: float, step: Step) -> None:
        """Hold a run's attempts on a device against what the device knew when its session began."""
        step.commands += unwanted_attempts(machine, device)
        for event in reconciled(machine, device, at):
            if isinstance(event, ev.AttemptAdopted):
                self.fleet.occupy(device.id, event.attempt, resource_needs(machine.graph[event.star]))
            self._apply(event, step)
            if isinstance(event, ev.AttemptAdopted) and event.attempt not in device.known:
                step.commands.append(machine.dispatch(machine.attempts[event.attempt]))

    def _lose(self, at: float, device: DeviceId, step: Step, reason: str) -> None:
        for machine in list(self.runs.values()):
            for attempt in list(machine.attempts.values()):
                if attempt.device == device:
                    self._apply(
                        ev.AttemptLost(at, machine.run, attempt.star, attempt.id, device, attempt.epoch, reason), step
                    )

    def _tick(self, at: float, step: Step) -> None:
        for run, timer in self._waiting.timers.pop_due(at):
            if run in self.runs:
                self._apply(ev.TimerFired(at, run, timer), step)
        if self._next_tick_at is None or at >= self._next_tick_at:
            for run, star, reason in self.fleet.starving(at, self._patience_s):
                self._apply(ev.PlacementFailed(at, run, star, reason), step)
            for machine in list(self.runs.values()):
                self._expire(machine, at, step)
            self.fleet.free_given_up(at)
            self._next_tick_at = at + TICK_S

    def _expire(self, machine: RunMachine, at: float, step: Step) -> None:
        """Take attempts back from devices that have not begun with them in time, but not yet their slots."""
        run, accept_s = machine.run, machine.options.accept_s
        for late in machine.expired(at):
            reason = f"device {late.device!r} did not begin with it within {accept_s:g} s"
            step.commands.append(CancelAttempt(run, late.star, late.id, late.device, late.epoch, reason, 1.0))
            self.fleet.give_up(late.device, late.epoch, late.id, keep_until=at + accept_s)
            self._apply(ev.AttemptLost(at, run, late.star, late.id, late.device, late.epoch, reason), step)

    # --- placement ---------------------------------------------------------------------------------------------------

    def place(self, at: float, step: Step) -> None:
        """Give stars that wait to devices with room, until there are no more of either.

        Raises:
            InvariantBroken: in validate mode, the state is inconsistent.
        """
        for run, star, needs, device, fault in self.fleet.placements(self._nearby):
            if device is None:
                self._apply(ev.PlacementFailed(at, run, star.id, fault, POLICY_FAILED), step)
                if self._validate:
                    check_scheduler(self)
                continue
            machine, id = self.runs[run], star.id
            attempt = ev.attempt_id(run, id, machine.tries[id].attempts + 1)
            idempotent = star.idempotent
            if idempotent is None:
                work: Any = star.work  # it waits for a device, so it is for one
                idempotent = device.offer.tools.get(work.tool, False)
            device.take(attempt, needs)
            entry = machine.apply(
                ev.StarAssigned(at, run, id, attempt, device.id, device.epoch, idempotent, device.memory), step.commands
            )
            assert entry is not None, "what waits for a device can be given to one"
            step.entries.append(entry)
            if self._validate:
                check_scheduler(self)

    def _nearby(self, run: RunId, star: StarId) -> Mapping[DeviceId, int]:
        machine = self.runs[run]
        return machine.nearby(star) if machine.artifact_bytes else NOTHING_NEARBY


_FOLLOWED: Mapping[type, Callable[[Scheduler, RunMachine, Any, Step], None]] = {
    ev.AttemptSucceeded: Scheduler._learn,
    ev.RunPaused: Scheduler._follow_pause,
    ev.RunUnpaused: Scheduler._follow_pause,
    ev.RunRecovered: Scheduler._take_up,
}
"""What events of one run mean for devices, durations, and the runs that it is nested with."""
