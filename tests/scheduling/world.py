"""A simulated world: the real scheduler under virtual time, with devices, people and a journal that fail.

Everything follows from one seed. After each event the scheduler's own invariants hold (validate mode), and those that
only the world can see are checked here: no result counts twice, work that may not be repeated is done once at most, a
replay of the journal gives the live state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import networkx

from constellation.graph import AddStar, EditBatch, EditRejected, RemoveStar, StarId, TaskConstellation, UnknownStar
from constellation.graph.documents import dump
from constellation.scheduling import JournalEntry, NotWaiting, RunEnded, RunEvent, RunId, RunOptions, Scheduler, Step
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.inputs import DeviceDraining, DeviceJoined, DeviceLeft, Tick
from constellation.scheduling.quiescence import explain_waiting

from .fake_devices import FakeDevice, Faults, Link
from .random_graphs import random_batch, random_graph, random_star
from .snapshots import replay, state_of, stored

RUN = RunId("run")
REFUSALS = (RunEnded, EditRejected, NotWaiting, UnknownStar)


class Crashed(Exception):
    """The orchestrator has died between computing and storing."""


class World:
    def __init__(self, seed: int, *, stars: int = 12, devices: int = 3, faults_until: float = 25.0) -> None:
        self.rng = Random(seed)
        self.now = 1000.0
        self.faults_until = self.now + faults_until
        self.effects: Counter[tuple[str, str]] = Counter()
        self.journals: dict[RunId, list[JournalEntry]] = {}
        self.settled: set[tuple[str, str]] = set()
        self.idempotent: dict[tuple[str, str], bool] = {}
        self.crashes = 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._tickets = count()
        self._epochs = count(1)
        self._crash_after: int | None = None
        self.scheduler = self._new_scheduler()
        self.devices = [
            FakeDevice(f"d{number}", self.rng.randint(1, 3), Faults(), self.rng, self.effects)
            for number in range(devices)
        ]
        self._links: dict[str, Link] = {}
        graph = random_graph(self.rng, stars)
        options = RunOptions(
            deadline_s=self.rng.choice([None, None, None, 40.0]),
            cancel_grace_s=2.0,
            timeout_margin_s=0.5,
            max_losses=2,
            review=self.rng.random() < 0.4,
            review_timeout_s=5.0,
        )
        self._first = ev.RunStarted(self.now, RUN, dump(graph), options)
        for device in self.devices:
            self.later(self.rng.uniform(0, 2), lambda device=device: self.connect(device))
        self.later(self.rng.uniform(0, 1), self.submit)

    def _new_scheduler(self) -> Scheduler:
        return Scheduler(no_device_patience_s=4.0, validate=True)

    # --- time ------------------------------------------------------------------------------------------------------

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heappush(self._agenda, (self.now + delay, next(self._tickets), action))

    def step(self) -> None:
        """Go on to whatever comes next: an action of the world or a timer of the scheduler."""
        due = self.scheduler.next_due_at()
        if self._agenda and (due is None or self._agenda[0][0] <= due):
            at, _, action = heappop(self._agenda)
            self.now = max(self.now, at)
            action()
        elif due is not None:
            self.now = max(self.now, due)
            self.feed(Tick(self.now))
        else:
            raise AssertionError(f"nothing will ever happen again, but the run goes on: {self.explain()}")

    def run(self) -> None:
        """Let faults happen for a while, then none, and see that every run ends."""
        while self.now < self.faults_until and not self.over and not self.waits_for_people:
            self.step()
            if self.rng.random() < 0.08:
                self.disturb()
        self.calm()
        limit = self.now + 600
        while not self.over:
            assert self.now < limit, f"the run does not end: {self.explain()}"
            self.step()
        self.check_journals()

    @property
    def over(self) -> bool:
        runs = self.scheduler.runs
        return RUN in runs and all(machine.ended for machine in runs.values())

    @property
    def waits_for_people(self) -> bool:
        """Whether nothing will happen any more until someone takes back a hold."""
        return not self._agenda and self.scheduler.next_due_at() is None

    def explain(self) -> dict[str, Any]:
        return {
            run: (machine.state, explain_waiting(machine.graph), machine._holds, machine._reviews)
            for run, machine in self.scheduler.runs.items()
            if not machine.ended
        }

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.faults_until = self.now
        for device in self.devices:
            device.reliable()
            for attempt in list(device.running):
                self.later(self.rng.uniform(0, 1), lambda device=device, attempt=attempt: self.finish(device, attempt))
            if not device.online:
                self.later(self.rng.uniform(0, 1), lambda device=device: self.connect(device))
        for run, machine in list(self.scheduler.runs.items()):
            if machine.state == "paused" and not machine.closing:
                self.ask(ev.RunUnpaused(self.now, run))
            for star in list(machine._holds):
                # The first release ends the planner's review when there is one, so count down to the last hold.
                while star in machine._holds:
                    self.feed(ev.HoldReleased(self.now, run, star))

    # --- the orchestrator --------------------------------------------------------------------------------------------

    def feed(self, event: Any) -> None:
        """Give the scheduler an event, store what follows, and carry it out; all as one, unless it crashes."""
        known = state_before = None
        if isinstance(event, ev.GraphEdited) and event.run in self.scheduler.runs:
            known, state_before = event.run, state_of(self.scheduler.runs[event.run])
        try:
            step = self.scheduler.handle(event)
        except REFUSALS:
            if known is not None:
                assert state_of(self.scheduler.runs[known]) == state_before, "a refused event changed something"
            raise
        self.check_acyclic()
        if self.now < self.faults_until and self.rng.random() < 0.01:
            self.crash(carried=False, step=step)
            return
        for entry in step.entries:
            self.journals.setdefault(entry.event.run, []).append(entry)
        if isinstance(event, (ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCancelled)):
            self.device(event.device).results.pop(event.attempt, None)
        if self.now < self.faults_until and self.rng.random() < 0.01:
            self.crash(carried=True, step=step)
            return
        for command in step.commands:
            self.carry_out(command)
        if self.rng.random() < 0.03:
            self.check_journals()

    def submit(self) -> None:
        if RUN not in self.scheduler.runs:
            self.feed(self._first)

    def ask(self, event: RunEvent) -> bool:
        """Give the scheduler a request, which it may refuse."""
        try:
            self.feed(event)
        except REFUSALS:
            return False
        return True

    def carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.Dispatch(run, star, _, device, epoch):
                machine = self.scheduler.runs[run]
                attempt = machine.attempts.get(command.attempt)
                load = self.scheduler.fleet.devices.get(device)
                if attempt is not None and load is not None and load.epoch == epoch:
                    # An edit may put another star in the place of one of its id.
                    self.idempotent[run, star.id] = self.idempotent.get((run, star.id), False) or attempt.idempotent
                    assert load.free_slots >= 0, f"{device} was given more than it has slots for"
                self.to_device(device, epoch, lambda: self.take(self.device(device), command))
            case cmd.CancelAttempt(_, _, attempt_id, device, epoch):
                self.to_device(device, epoch, lambda: self.cancel(self.device(device), attempt_id))
            case cmd.AskApproval(run, star_id):
                if self.scheduler.runs[run].graph[star_id].timeout_s is None or self.rng.random() < 0.9:
                    approved = self.rng.random() < 0.7
                    answer = lambda: self.ask(ev.ApprovalAnswered(self.now, run, star_id, approved))  # noqa: E731
                    self.later(self.rng.uniform(0.1, 3), lambda: answer() and None)
            case cmd.RequestReview(run, star_id):
                if self.rng.random() < 0.9:
                    self.later(self.rng.uniform(0.1, 3), lambda: self.review(run, star_id))
            case cmd.StarSettled(run, star_id):
                assert (run, star_id) not in self.settled, f"{star_id} of {run} ended twice"
                self.settled.add((run, star_id))
            case _:
                pass

    def review(self, run: RunId, star: StarId) -> None:
        if run not in self.scheduler.runs:
            return
        if self.rng.random() < 0.4:
            self.edit(run)
        if run in self.scheduler.runs:
            self.feed(ev.HoldReleased(self.now, run, star))

    def crash_now(self) -> None:
        self.crash(carried=True, step=Step())

    def crash(self, *, carried: bool, step: Step) -> None:
        """The orchestrator dies, with what it has not stored; another one takes over from the journal."""
        self.crashes += 1
        if carried:
            # What was sent before the end still arrives; what was settled is told by the journal.
            for command in step.commands:
                if isinstance(command, (cmd.Dispatch, cmd.CancelAttempt, cmd.StarSettled)):
                    self.carry_out(command)
        for device in self.devices:
            if device.online:
                self.disconnect(device, told=False)
        self.now += self.rng.choice([0.1, 3.0, 20.0])
        self.scheduler = self._new_scheduler()
        for device in self.devices:
            if self.rng.random() < 0.3:
                # A hub that goes on serving may have its devices before a run is taken up again.
                device.online, device.epoch = True, next(self._epochs)
                joined = DeviceJoined(self.now, device.id, device.epoch, device.offer, device.known, device.memory)
                self.scheduler.handle(joined)
                for report in list(device.results.values()):
                    self.report(device, report)
        for entries in self.journals.values():
            self.scheduler.recover(stored(entries))
        if RUN not in self.scheduler.runs:
            self.later(0.1, self.submit)
        for run, machine in list(self.scheduler.runs.items()):
            self.settled |= {(run, star) for star in machine.graph if machine.graph.outcome(star)}
            self.settled &= {
                key for key in self.settled if key[0] != run or machine.graph.outcome(StarId(key[1])) is not None
            }
        self.settled = {key for key in self.settled if key[0] in self.scheduler.runs}
        for run in list(self.scheduler.runs):
            machine = self.scheduler.runs.get(run)
            if machine is not None and not machine.ended:
                self.feed(ev.RunRecovered(self.now, run))

    # --- devices -----------------------------------------------------------------------------------------------------

    def device(self, id: str) -> FakeDevice:
        return next(device for device in self.devices if device.id == id)

    def connect(self, device: FakeDevice) -> None:
        if device.online:
            return
        device.online, device.epoch = True, next(self._epochs)
        known, memory = device.known, device.memory
        self.to_scheduler(
            device, lambda at: DeviceJoined(at, device.id, device.epoch, device.offer, known, memory), delay=0.0
        )
        for report in list(device.results.values()):
            self.report(device, report)

    def disconnect(self, device: FakeDevice, *, told: bool, dies: bool = False) -> None:
        """The link breaks; the scheduler hears of it later, before or after the device comes back."""
        epoch = device.epoch
        device.online = False
        if dies:
            device.die(self.now)
        if told:
            self.later(self.rng.uniform(0, 3), lambda: self.feed(DeviceLeft(self.now, device.id, epoch, "link lost")))
        self.later(self.rng.uniform(0.1, 4), lambda: self.connect(device))

    def to_device(self, id: str, epoch: int, action: Callable[[], None]) -> None:
        link = Link(self.device(id), epoch)
        self.later(self.rng.uniform(0.001, 0.2), lambda: action() if link.up else None)

    def to_scheduler(self, device: FakeDevice, event_at: Callable[[float], Any], *, delay: float | None = None) -> None:
        link = Link(device, device.epoch)
        wait = self.rng.uniform(0.001, 0.2) if delay is None else delay
        self.later(wait, lambda: self.feed(event_at(self.now)) if link.up else None)

    def report(self, device: FakeDevice, report: Any) -> None:
        """Tell of an attempt in the present session, and now and then something false as well."""
        import dataclasses

        told = dataclasses.replace(report, epoch=device.epoch)
        self.to_scheduler(device, lambda at: dataclasses.replace(told, at=at))
        if device.chance(device.faults.lie):
            other = self.rng.choice(self.devices)
            fence = (report.run, report.star)
            false = [
                (told.attempt, device.id, device.epoch - 1),
                (ev.AttemptId(f"{RUN}/s0/99"), device.id, device.epoch),
                (told.attempt, other.id, device.epoch + 7),
            ]
            lie = self.rng.choice(false)
            self.to_scheduler(device, lambda at: ev.AttemptSucceeded(at, *fence, *lie, "a lie"))

    def take(self, device: FakeDevice, work: cmd.Dispatch) -> None:
        if work.attempt in device.known:
            return
        report, ends = device.take(work, self.now)
        self.report(device, report)
        if ends is not None:
            self.later(ends + 0.3, lambda: self.finish(device, work.attempt))
        elif isinstance(report, ev.AttemptStarted) and self.now >= self.faults_until:
            self.later(1.0, lambda: self.finish(device, work.attempt))

    def finish(self, device: FakeDevice, attempt: ev.AttemptId) -> None:
        report = device.finish(attempt, self.now)
        if report is not None and device.online:
            self.report(device, report)

    def cancel(self, device: FakeDevice, attempt: ev.AttemptId) -> None:
        report = device.cancel(attempt, self.now)
        if report is not None:
            self.report(device, report)

    # --- disturbances ------------------------------------------------------------------------------------------------

    def disturb(self) -> None:
        actions: list[tuple[Callable[[], object], int]] = [
            (self.edit_any, 3),
            (self.replace_waiting, 2),
            (self.break_link, 1),
            (self.kill, 1),
            (self.drain, 1),
            (self.pause, 1),
            (self.unpause, 2),
            (self.hold, 1),
            (self.unhold, 2),
            (self.cancel_something, 1),
        ]
        self.rng.choices([action for action, _ in actions], [weight for _, weight in actions])[0]()

    def some_run(self) -> RunId | None:
        live = [run for run, machine in self.scheduler.runs.items() if not machine.ended]
        return self.rng.choice(live) if live else None

    def some_star(self, run: RunId) -> StarId | None:
        stars = list(self.scheduler.runs[run].graph)
        return self.rng.choice(stars) if stars else None

    def edit_any(self) -> None:
        run = self.some_run()
        if run is not None:
            self.edit(run)

    def edit(self, run: RunId) -> None:
        batch = random_batch(self.rng, self.scheduler.runs[run].graph)
        self.ask(ev.GraphEdited(self.now, run, batch))

    def replace_waiting(self) -> None:
        """A star that was tried before is removed, and another comes under its id."""
        for run, machine in self.scheduler.runs.items():
            for star, tries in machine.tries.items():
                if tries.attempts and tries.attempt is None and star in machine.graph:
                    again = AddStar(random_star(self.rng, star, []))
                    self.ask(ev.GraphEdited(self.now, run, EditBatch((RemoveStar(star), again))))
                    return

    def break_link(self) -> None:
        device = self.rng.choice(self.devices)
        if device.online:
            self.disconnect(device, told=self.rng.random() < 0.6)

    def kill(self) -> None:
        device = self.rng.choice(self.devices)
        if device.online:
            self.disconnect(device, told=self.rng.random() < 0.6, dies=True)

    def drain(self) -> None:
        device = self.rng.choice(self.devices)
        if device.online:
            self.feed(DeviceDraining(self.now, device.id, device.epoch))
            self.later(1.0, lambda: self.disconnect(device, told=True) if device.online else None)

    def pause(self) -> None:
        run = self.some_run()
        if run is not None and self.ask(ev.RunPaused(self.now, run)):
            self.later(3.0, lambda: self.ask(ev.RunUnpaused(self.now, run)) and None)

    def unpause(self) -> None:
        run = self.some_run()
        if run is not None:
            self.ask(ev.RunUnpaused(self.now, run))

    def hold(self) -> None:
        run = self.some_run()
        star = self.some_star(run) if run else None
        if run is not None and star is not None:
            self.ask(ev.HoldTaken(self.now, run, star))

    def unhold(self) -> None:
        held = [(run, star) for run, machine in self.scheduler.runs.items() for star in machine._holds]
        if held:
            run, star = self.rng.choice(held)
            self.feed(ev.HoldReleased(self.now, run, star))

    def cancel_something(self) -> None:
        run = self.some_run()
        star = self.some_star(run) if run else None
        if run is not None and star is not None:
            whole = self.rng.random() < 0.1
            self.ask(ev.CancelRequested(self.now, run, None if whole else star, subtree=self.rng.random() < 0.5))

    # --- what only the world can see ---------------------------------------------------------------------------------

    def check_acyclic(self) -> None:
        for machine in self.scheduler.runs.values():
            if not machine.ended:
                drawn: networkx.DiGraph[str] = networkx.DiGraph()
                drawn.add_edges_from((line.source, line.target) for line in machine.graph.lines)
                assert networkx.is_directed_acyclic_graph(drawn)

    def check_journals(self) -> None:
        for run, entries in self.journals.items():
            machine = self.scheduler.runs.get(run)
            if machine is not None:
                assert state_of(replay(stored(entries))) == state_of(machine), f"a replay of {run} gives another state"
            taken = [entry.event.attempt for entry in entries if isinstance(entry.event, ev.AttemptSucceeded)]
            assert len(taken) == len(set(taken)), "a result was taken twice"
            given = [entry.event.attempt for entry in entries if isinstance(entry.event, ev.StarAssigned)]
            assert len(given) == len(set(given)), "a number of an attempt was used twice"
            assert not any(
                isinstance(entry.event, ev.AttemptSucceeded) and entry.event.output == "a lie" for entry in entries
            )
        for key, times in self.effects.items():
            assert times <= 1 or self.idempotent[key], f"{key} has had its effect {times} times"


def graph_of(world: World) -> TaskConstellation:
    return world.scheduler.runs[RUN].graph
