"""Holds everything that happens in a simulated world against its invariants, and remembers what that takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from constellation_protocol.messages import Assign, Message, Result
from constellation_protocol.session import Session
from constellation_protocol.states import Role

from ..graph import StarId
from ..orchestrator.recovery import MAX_RUNS, read_entries, replay
from ..orchestrator.turns import AnyEvent, Refusal, Turns
from ..scheduling import InvariantBroken, JournalEntry, RunId, RunMachine, Scheduler, Step
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.events import parse_attempt
from ..scheduling.inputs import FLEET_EVENTS
from ..scheduling.story import story
from . import invariants as inv
from .device import FakeDevice
from .errors import InvariantBreached
from .faults import Scene
from .history import REPORTS, History
from .journal import SimulatedJournal, finished
from .snapshot import State, state_of


class Watch:
    """The eyes of a world.

    Attributes:
        finished: The runs that have ended, as they were when they were let go of.
    """

    def __init__(self, scene: Scene, devices: Sequence[FakeDevice]) -> None:
        self.finished: dict[RunId, RunMachine] = {}
        self._scene = scene
        self._devices = {device.id: device for device in devices}
        self._live = History()
        self._durable = History()
        self._entries: dict[RunId, list[JournalEntry]] = {}
        self._states: dict[RunId, dict[int, State]] = {}
        self._settled: set[tuple[RunId, StarId]] = set()
        self._on_the_way: dict[tuple[str, Role], deque[Message]] = {}
        self._unheard: set[str] = set()
        """Attempts whose results came while nobody had their run in hand."""

    # --- the scheduler -----------------------------------------------------------------------------------------------

    def handled(self, turns: Turns, turn: Step, event: AnyEvent) -> Refusal | None:
        """Have an event taken in, and look at what follows; returns the refusal, if it was refused."""
        scheduler = turns.scheduler
        self._scene.trace.say(_describe(event))
        run = None if isinstance(event, FLEET_EVENTS) else scheduler.runs.get(event.run)
        if run is None and isinstance(event, REPORTS):
            self._unheard.add(event.attempt)
        stale = run is not None and isinstance(event, REPORTS) and not self._live.is_current(event)
        before = state_of(run) if run is not None and (stale or isinstance(event, _REQUESTS)) else None
        entries, commands = len(turn.entries), len(turn.commands)
        ignored = scheduler.stale + (run.stale if run is not None else 0)
        try:
            refusal = turns.take((event,), turn)
        except InvariantBroken as error:
            raise self.breach(inv.counters_match_a_recount, str(error), event) from error
        new = turn.entries[entries:]
        if before is not None and run is not None:
            if refusal is not None:
                self._scene.trace.say(f"  refused: {refusal}")
                problem = inv.refusals_change_nothing(before, state_of(run))
                self.check(inv.refusals_change_nothing, problem, event)
            elif stale and not isinstance(event, FLEET_EVENTS):
                self._scene.trace.faults["stale report"] += 1
                counted = scheduler.stale + run.stale > ignored
                problem = inv.stale_reports_are_inert(event, new, before, state_of(run), counted=counted)
                self.check(inv.stale_reports_are_inert, problem, event)
        for entry in new:
            self._entered(scheduler, entry)
        for changed in {entry.event.run: None for entry in new}:
            self._states[changed][len(self._entries[changed])] = state_of(scheduler.runs[changed])
        for command in turn.commands[commands:]:
            if isinstance(command, cmd.StarSettled):
                problem = inv.stars_settle_once(self._settled, command.run, command.star)
                self.check(inv.stars_settle_once, problem, event)
                self._settled.add((command.run, command.star))
        return refusal

    def _entered(self, scheduler: Scheduler, entry: JournalEntry) -> None:
        event = entry.event
        self._scene.trace.events[event.kind] += 1
        problem = inv.a_star_has_one_lease_at_most(self._live, event)
        self.check(inv.a_star_has_one_lease_at_most, problem, event)
        self.check(inv.only_current_reports_count, inv.only_current_reports_count(self._live, event), event)
        self.check(inv.only_true_results_count, inv.only_true_results_count(self._devices, event), event)
        if isinstance(event, (ev.GraphEdited, ev.RunStarted)):
            graph = scheduler.runs[event.run].graph
            self.check(inv.graphs_are_acyclic, inv.graphs_are_acyclic(graph), event)
        self._entries.setdefault(event.run, []).append(entry)
        self._states.setdefault(event.run, {})
        self._live.add(event)

    def carried_out(self, command: cmd.Command) -> None:
        """A command is being carried out."""
        self._scene.trace.commands[type(command).__name__] += 1
        if isinstance(command, (cmd.Dispatch, cmd.CancelAttempt)):
            self._scene.trace.say(f"{type(command).__name__} {command.attempt} {command.device} {command.epoch}")

    def let_go(self, machine: RunMachine) -> None:
        """A run has ended, and its orchestrator has let go of it."""
        self._scene.trace.say(f"{machine.run} has {machine.state}")
        self.finished[machine.run] = machine

    # --- the disk ----------------------------------------------------------------------------------------------------

    def stored(self, entries: Sequence[JournalEntry]) -> None:
        """Entries are durable."""
        for entry in entries:
            self._durable.add(entry.event)

    def sent(self, assign: Assign) -> None:
        """An assignment goes out to a device."""
        self.check(inv.sent_is_stored, inv.sent_is_stored(self._durable, assign.attempt), assign.attempt)

    def queued(self, session: Session, message: Message) -> None:
        """A message was given to a session to send."""
        assert session.welcome is not None
        self._on_the_way.setdefault((session.welcome.session, session.role), deque()).append(message)

    def received(self, session: Session, messages: Sequence[Message]) -> None:
        """A session has handed messages out."""
        assert session.welcome is not None
        theirs = Role.DEVICE if session.role is Role.ORCHESTRATOR else Role.ORCHESTRATOR
        sent = self._on_the_way.setdefault((session.welcome.session, theirs), deque())
        for message in messages:
            about = getattr(message, "attempt", None)
            self.check(inv.messages_arrive_once, inv.messages_arrive_once(sent, message), about)
            sent.popleft()

    def forgotten(self, result: Result) -> None:
        """A device is told that it need not keep a result."""
        if result.attempt not in self._unheard:
            problem = inv.forgotten_is_stored(self._durable, result.attempt)
            self.check(inv.forgotten_is_stored, problem, result.attempt)

    def reborn(self, journal: SimulatedJournal) -> None:
        """An orchestrator begins on what a crash has left."""
        stored = {summary.run: summary.events for summary in finished(journal.runs(limit=MAX_RUNS))}
        for run in list(self._entries):
            kept = stored.get(run, 0)
            del self._entries[run][kept:]
            self._states[run] = {seq: state for seq, state in self._states[run].items() if seq <= kept}
            if not kept:
                del self._entries[run], self._states[run]
        events = [entry.event for entries in self._entries.values() for entry in entries]
        self._live, self._durable = History(events), History(events)
        self._settled.clear()

    def recovered(self, machine: RunMachine) -> None:
        """A run was brought back."""
        graph = machine.graph
        self._settled |= {(machine.run, star) for star in graph if graph.outcome(star) is not None}

    def taken_up(self, scheduler: Scheduler) -> None:
        """All runs that belong together were brought back, and nothing has happened to them yet."""
        self.check(inv.counters_match_a_recount, inv.counters_match_a_recount(scheduler), None)

    # --- at the end --------------------------------------------------------------------------------------------------

    def check_effects(self) -> None:
        """See that nothing was repeated that may not be."""
        problem = inv.nothing_is_repeated_silently(self._live, self._devices.values())
        self.check(inv.nothing_is_repeated_silently, problem, _named_attempt(problem))

    def check_replays(self, journal: SimulatedJournal) -> None:
        """See that what the disk has gives every state that each run was in."""
        for run in self._entries:
            entries = finished(read_entries(journal, run))
            problem = inv.replays_give_every_state(run, entries, self._states[run])
            self.check(inv.replays_give_every_state, problem, None)
            self.check(inv.everything_ends, inv.everything_ends([replay(entries)]), None)

    # --- breaches ----------------------------------------------------------------------------------------------------

    def check(self, invariant: Callable[..., object], problem: str | None, about: AnyEvent | str | None) -> None:
        """Raise InvariantBreached if there is a problem; `about` is an event or an attempt."""
        if problem is not None:
            raise self.breach(invariant, problem, about)

    def breach(self, invariant: Callable[..., object], problem: str, about: AnyEvent | str | None) -> InvariantBreached:
        """The error that tells of a breach, with the story of the star that it is about."""
        scene = self._scene
        return InvariantBreached(
            invariant.__name__, problem, seed=scene.seed, at_s=scene.trace.elapsed_s, story=self._story(about)
        )

    def _story(self, about: AnyEvent | str | None) -> list[str]:
        if isinstance(about, str):
            run, star = parse_attempt(about) or (None, None)
        else:
            run, star = getattr(about, "run", None), getattr(about, "star", None)
        recent = self._scene.trace.lines[-10:]
        entries = self._entries.get(run) if run is not None else None
        if star is None or entries is None:
            return recent
        return [*story(entries, star), "and in the world:", *recent]


_REQUESTS = (ev.GraphEdited, ev.RunPaused, ev.RunUnpaused, ev.CancelRequested, ev.HoldTaken, ev.ApprovalAnswered)
"""Events that may be refused."""


def _named_attempt(problem: str | None) -> str | None:
    """The first attempt that a problem names."""
    return next((word for word in (problem or "").split() if word.count("/") == 2), None)


def _describe(event: AnyEvent) -> str:
    """An event in one short line."""
    kind = getattr(event, "kind", None) or type(event).__name__
    about = [
        str(value)
        for name in ("run", "star", "attempt", "device", "epoch", "timer")
        if (value := getattr(event, name, None)) is not None
    ]
    return " ".join([kind, *about])
