"""The orchestrator of the simulated world: the product's own turns, scheduler and records, over a disk that can crash.

What it does beside them is what the anyio shell does: it gathers what comes while a turn is being stored, rings the
scheduler's timers, has people and planners asked, and notes the ends of runs. It can die before a turn is written,
while that is being synced, before any of it is carried out, and in the middle of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..journal import RunSummary
from ..orchestrator.recovery import MAX_RUNS, read_family, replay
from ..orchestrator.turns import AnyEvent, Refusal, Turns
from ..scheduling import JournalEntry, PlacementPolicy, RunId, RunMachine, Scheduler, Step
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.inputs import Tick
from .clock import Alarm
from .disk import SimulatedDisk
from .faults import Scene
from .hub import SimulatedHub
from .journal import SimulatedJournal, finished
from .network import Network
from .watch import Watch

PATIENCE_S = 3.0
"""How long a star may wait while no device matches it, in virtual seconds."""


class Audience(Protocol):
    """Those whom an orchestrator asks for answers: people and planners."""

    def asked_approval(self, run: RunId, star: str) -> None:
        """A person is to answer."""

    def asked_review(self, run: RunId, star: str) -> None:
        """A planner is to look at a star."""


class _Died(Exception):
    """The orchestrator has died in the middle of carrying something out."""


class _Item:
    """Events on their way in together, and whom to tell what became of them."""

    __slots__ = ("done", "events", "refusal")

    def __init__(self, events: Sequence[AnyEvent], done: Callable[[Refusal | None], None] | None) -> None:
        self.events = events
        self.done = done
        self.refusal: Refusal | None = None


class SimulatedOrchestrator:
    """One life of an orchestrator: from its start on what the disk has to its death.

    Attributes:
        scheduler: The state machine, to read.
        alive: Whether it still works.
    """

    def __init__(
        self,
        scene: Scene,
        disk: SimulatedDisk,
        network: Network,
        watch: Watch,
        audience: Audience,
        *,
        policy: PlacementPolicy | None,
        review: bool,
        on_death: Callable[[], None],
    ) -> None:
        self.scheduler = Scheduler(policy=policy, no_device_patience_s=PATIENCE_S, validate=True)
        self.alive = True
        self._scene = scene
        self._disk = disk
        self._network = network
        self._watch = watch
        self._audience = audience
        self._review = review
        self._on_death = on_death
        self._turns = Turns(self.scheduler)
        self._journal = SimulatedJournal(disk)
        self._hub = SimulatedHub(scene, watch, self)
        self._inbox: list[_Item] = []
        self._working = False
        self._tick: Alarm | None = None

    # --- taking in ---------------------------------------------------------------------------------------------------

    def post(self, *events: AnyEvent) -> None:
        """Take events in that nobody waits for; the product's engine does not survive one that is refused."""
        self._put(_Item(events, None))

    def ask(self, events: Sequence[AnyEvent], done: Callable[[], None]) -> None:
        """Take events in, and say when what follows is stored and under way; what is refused is the asker's affair."""
        self._put(_Item(events, lambda refusal: done()))

    def request(self, event: ev.RunEvent, done: Callable[[Refusal | None], None] = lambda refusal: None) -> None:
        """Take in what a person or a planner wants, and say what became of it."""
        self._put(_Item((event,), done))

    def _put(self, item: _Item) -> None:
        if not self.alive:
            return
        self._inbox.append(item)
        self._wake()

    def _wake(self) -> None:
        if not self._working:
            self._working = True
            self._scene.clock.after(0.0, self._work)

    def _ring(self) -> None:
        self._tick = None
        if self.alive:
            self._put(_Item((Tick(self._scene.clock.now),), None))

    # --- turns -------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if not self.alive:
            return
        items, self._inbox = self._inbox, []
        turn = Step()
        for item in items:
            for event in item.events:
                refusal = self._watch.handled(self._turns, turn, event)
                item.refusal = item.refusal or refusal
                if refusal is not None and item.done is None:
                    raise refusal
        if self._dies("before a turn is written"):
            return
        self._write(turn)
        if turn.entries and self._dies("before a turn is synced"):
            return
        self._scene.clock.after(self._scene.soon() if turn.entries else 0.0, self._stored, items, turn)

    def _write(self, turn: Step) -> None:
        for entry in turn.entries:
            event = entry.event
            if isinstance(event, ev.RunStarted) and event.parent is not None:
                finished(self._journal.create_run(event.run, name="", at=event.at, parent=event.parent[0]))
        records = self._turns.records(turn)
        if records:
            finished(self._journal.append(records))

    def _stored(self, items: Sequence[_Item], turn: Step) -> None:
        if not self.alive:
            return
        if turn.entries:
            self._disk.sync()
            self._watch.stored(turn.entries)
            if self._dies("before a turn is carried out"):
                return
        try:
            self._turns.carry_out(turn, self, self._scene.clock.now)
        except _Died:
            return
        for item in items:
            if item.done is not None:
                item.done(item.refusal)
        self._working = False
        if self._inbox:
            self._wake()
        self._set_tick()

    def _set_tick(self) -> None:
        due_at = self.scheduler.next_due_at()
        if self._tick is not None:
            self._tick.cancel()
        self._tick = self._scene.clock.at(due_at, self._ring) if due_at is not None else None

    # --- carrying out ------------------------------------------------------------------------------------------------

    def entered(self, entry: JournalEntry) -> None:
        """See `Carrier.entered`: nobody here watches runs begin and pause."""
        assert entry.event.run in self.scheduler.runs

    def carry_out(self, command: cmd.Command, at: float) -> None:
        """See `Carrier.carry_out`."""
        if self._dies("in the middle of carrying out"):
            raise _Died
        self._watch.carried_out(command)
        match command:
            case cmd.Dispatch():
                self._hub.dispatch(command)
            case cmd.CancelAttempt():
                self._hub.cancel(command)
            case cmd.AskApproval(run, star):
                self._audience.asked_approval(run, star)
            case cmd.RequestReview(run, star):
                self._audience.asked_review(run, star)
            case cmd.RunSettled(run, state):
                self._scene.clock.after(self._scene.soon(), self._finish, run, state)
            case _:
                pass

    def _finish(self, run: RunId, state: str) -> None:
        """Note the end of a run in the journal's summary, and let go of it only then."""
        if self.alive and run in self.scheduler.runs:
            finished(self._journal.set_state(run, state, at=self._scene.clock.now))
            self._disk.sync()
            self._watch.let_go(self.scheduler.runs[run])
            self._turns.let_go(run)

    # --- lives -------------------------------------------------------------------------------------------------------

    def start(self, first: ev.RunStarted) -> None:
        """Take up what the journal has, submit what it lacks, and let devices in.

        A hub that finds a run claimed by one who seems to live serves devices before somebody has it resume the run.
        """
        if self._scene.chance(0.4):
            self._scene.trace.fault("run taken up late")
            self._network.accept = self._hub.accept
            self._scene.clock.after(self._scene.rng.uniform(0.05, 4.0), self._begin, first)
        else:
            self._begin(first)
            self._network.accept = self._hub.accept

    def _begin(self, first: ev.RunStarted) -> None:
        if not self.alive:
            return
        begun = False
        for summary in finished(self._journal.runs(limit=MAX_RUNS, state="running")):
            if summary.parent is None:
                begun = self._take_up(summary) or begun
        if not begun and first.run not in self._watch.finished:
            self._submit(first)
        self._set_tick()

    def _submit(self, first: ev.RunStarted) -> None:
        """What `Intake.submit` does, but for the run's id, which there is a new one each time."""
        for left_over in finished(self._journal.runs(limit=MAX_RUNS)):
            finished(self._journal.delete(left_over.run))
        finished(self._journal.create_run(first.run, name="", at=first.at))
        finished(self._journal.set_state(first.run, "running", at=first.at))
        self._disk.sync()
        self._put(_Item((first,), None))

    def _take_up(self, summary: RunSummary) -> bool:
        """What `Intake.take_up` does; returns whether there was anything to take up."""
        if not summary.events:
            return False  # it was being submitted; whoever did that submits it again
        run = RunId(summary.run)
        family = finished(read_family(self._journal, run))
        top = replay(family[run])
        now = self._scene.clock.now
        if all(replay(entries).ended for entries in family.values()):
            finished(self._journal.set_state(run, top.state, at=now))
            self._disk.sync()
            self._watch.let_go(top)
            return True
        for member, entries in family.items():
            machine = self.scheduler.recover(entries)
            self._turns.recovered(member, len(entries))
            self._watch.recovered(machine)
        self._watch.taken_up(self.scheduler)
        going_on = [member for member in family if not self.scheduler.runs[member].ended]
        ended = [member for member in family if member not in going_on]
        rerun = self._scene.chance(0.1)
        if rerun:
            self._scene.trace.fault("rerun wanted")
        events = [ev.RunRecovered(now, member, self._review and member == run, rerun) for member in going_on]
        self._put(_Item(events, lambda refusal: self._drop(ended)))
        return True

    def _drop(self, ended: Sequence[RunId]) -> None:
        """Let go of nested runs that were needed for their parent to learn how they had ended."""
        for run in ended:
            if self.scheduler.waits_for_nested(run):
                continue
            self._watch.let_go(self.scheduler.runs[run])
            self._turns.let_go(run)

    def machine(self, run: RunId) -> RunMachine | None:
        """A run that it has in hand, to read."""
        return self.scheduler.runs.get(run)

    def _dies(self, when: str) -> bool:
        if not self.alive or not self._scene.chance(self._scene.faults.crash):
            return False
        self.die(when)
        return True

    def die(self, when: str) -> None:
        """Die, with what was not synced: all of it is lost, or none, or all from some byte on."""
        scene, unsynced = self._scene, self._disk.unsynced
        kept = scene.rng.choice([0, unsynced, scene.rng.randint(0, unsynced)])
        scene.trace.fault(f"orchestrator dies {when}", f"keeping {kept} of {unsynced} bytes")
        if 0 < kept < unsynced:
            scene.trace.fault("record torn")
        self.alive = False
        self._hub.die()
        self._network.orchestrator_died()
        self._disk.crash(kept)
        self._on_death()
