"""One run under a validating scheduler, driven event by event; what it commands is kept to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from constellation.graph import (
    EditBatch,
    Operation,
    Outcome,
    StarError,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    ToolCall,
)
from constellation.graph.documents import dump
from constellation.scheduling import (
    AttemptId,
    DeviceId,
    JournalEntry,
    Offer,
    PlacementPolicy,
    RunId,
    RunMachine,
    RunOptions,
    Scheduler,
)
from constellation.scheduling import events as ev
from constellation.scheduling.attempts import Attempt
from constellation.scheduling.commands import Command
from constellation.scheduling.inputs import DeviceChanged, DeviceDraining, DeviceJoined, DeviceLeft, Tick
from constellation.testing.snapshot import state_of

from .snapshots import replay, stored

C = TypeVar("C")
R = RunId("r")
TOOLS = {"t": True, "once": False}
FENCE = ("attempt", "device", "epoch")


def star(id: str, tool: str = "t", **fields: Any) -> TaskStar:
    return TaskStar(StarId(id), fields.pop("work", None) or ToolCall(tool, fields.pop("arguments", {})), **fields)


class Harness:
    """Attributes: `commands` of the last event, `entries` of all events, `now` in seconds."""

    def __init__(self, *, policy: PlacementPolicy | None = None) -> None:
        self.scheduler = Scheduler(policy=policy, no_device_patience_s=10.0, validate=True)
        self.now = 100.0
        self.commands: list[Command] = []
        self.entries: list[JournalEntry] = []
        self.epochs: dict[str, int] = {}
        self.past: dict[str, Attempt] = {}

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: Any) -> list[Command]:
        step = self.scheduler.handle(event)
        self.entries += step.entries
        self.commands = step.commands
        for machine in self.scheduler.runs.values():
            self.past.update({attempt.id: attempt for attempt in machine.attempts.values()})
        return self.commands

    def join(
        self,
        id: str = "d0",
        *,
        known: tuple[str, ...] = (),
        epoch: int | None = None,
        memory: str = "",
        **offer: Any,
    ) -> None:
        self.epochs[id] = epoch if epoch is not None else self.epochs.get(id, 0) + 1
        offer.setdefault("tools", TOOLS)
        offer.setdefault("slots", 2)
        ids = frozenset(AttemptId(attempt) for attempt in known)
        self.handle(DeviceJoined(self.now, DeviceId(id), self.epochs[id], Offer(**offer), ids, memory))

    def change(self, id: str, **offer: Any) -> None:
        offer.setdefault("tools", TOOLS)
        self.handle(DeviceChanged(self.now, DeviceId(id), self.epochs[id], Offer(**offer)))

    def drain(self, id: str = "d0") -> None:
        self.handle(DeviceDraining(self.now, DeviceId(id), self.epochs[id]))

    def leave(self, id: str = "d0", *, epoch: int | None = None) -> None:
        self.handle(DeviceLeft(self.now, DeviceId(id), epoch or self.epochs[id], "unplugged"))

    def start(self, *operations: Any, run: RunId = R, **options: Any) -> None:
        """Start a run of a graph of stars and of lines."""
        graph = TaskConstellation("test")
        from constellation.graph import AddLine, AddStar

        stars = tuple(AddStar(item) if isinstance(item, TaskStar) else AddLine(item) for item in operations)
        if stars:
            graph.apply(EditBatch(stars))
        self.handle(ev.RunStarted(self.now, run, dump(graph), RunOptions(**options)))

    def edit(self, *operations: Operation, reason: str = "", author: str = "") -> list[Command]:
        return self.handle(ev.GraphEdited(self.now, R, EditBatch(operations, author=author, reason=reason)))

    def begun(self, star: str, *, run: RunId = R) -> None:
        self.report(ev.AttemptStarted, star, run=run)

    def succeed(self, star: str, output: Any = None, *, run: RunId = R, **fields: Any) -> list[Command]:
        return self.report(ev.AttemptSucceeded, star, output, run=run, **fields)

    def fail(self, star: str, type: str = "Boom", *, run: RunId = R) -> list[Command]:
        return self.report(ev.AttemptFailed, star, StarError(type, "it broke"), run=run)

    def stopped(self, star: str) -> list[Command]:
        return self.report(ev.AttemptCancelled, star)

    def reject(self, star: str, code: str = "invalid-arguments") -> list[Command]:
        return self.report(ev.AttemptRejected, star, code, "no")

    def report(self, kind: Any, star: str, *rest: Any, run: RunId = R, **changed: Any) -> list[Command]:
        """Report on the attempt that a star has now, or under another fence."""
        attempt = self.attempt(star, run=run)
        fence = {"attempt": attempt.id, "device": attempt.device, "epoch": attempt.epoch, **changed}
        return self.handle(kind(self.now, run, StarId(star), *(fence.pop(name) for name in FENCE), *rest, **fence))

    def wait(self, seconds: float) -> list[Command]:
        """Let time pass, with every tick that is wanted; gives the commands of all of them."""
        until, all_commands = self.now + seconds, list[Command]()
        while (due := self.scheduler.next_due_at()) is not None and due <= until:
            self.now = max(self.now, due)
            all_commands += self.handle(Tick(self.now))
        self.now = until
        self.commands = all_commands
        return all_commands

    def ask(self, kind: Any, *rest: Any, **fields: Any) -> list[Command]:
        """A request of the run."""
        return self.handle(kind(self.now, R, *rest, **fields))

    def restart(self, *, lost: int = 0, review: bool = False, rerun: bool = False) -> None:
        """Another scheduler takes the runs over from what the journal has; the last `lost` entries are not in it."""
        kept = self.entries[: len(self.entries) - lost]
        journals: dict[RunId, list[JournalEntry]] = {}
        for entry in stored(kept):
            journals.setdefault(entry.event.run, []).append(entry)
        self.scheduler = Scheduler(no_device_patience_s=10.0, validate=True)
        self.entries = kept
        for entries in journals.values():
            machine = self.scheduler.recover(entries)
            assert state_of(machine) == state_of(replay(entries))
        commands = []
        for run, machine in list(self.scheduler.runs.items()):
            if not machine.ended:
                commands += self.handle(ev.RunRecovered(self.now, run, review, rerun))
        self.commands = commands

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def machine(self) -> RunMachine:
        return self.scheduler.runs[R]

    @property
    def graph(self) -> TaskConstellation:
        return self.machine.graph

    def state(self, star: str) -> StarState:
        return self.graph.state(star)

    def states(self) -> Mapping[str, str]:
        return {star: self.graph.state(star).value for star in self.graph}

    def outcome(self, star: str) -> Outcome:
        outcome = self.graph.outcome(star)
        assert outcome is not None
        return outcome

    def error(self, star: str) -> StarError:
        error = self.outcome(star).error
        assert error is not None
        return error

    def attempt(self, star: str, *, run: RunId = R) -> Attempt:
        attempt = self.scheduler.runs[run].tries[StarId(star)].attempt
        assert attempt is not None
        return attempt

    def on(self, star: str) -> str:
        """The device that a star is on."""
        return self.attempt(star).device

    def told(self, kind: type[C]) -> list[C]:
        """The commands of a kind that the last event led to."""
        return [command for command in self.commands if isinstance(command, kind)]

    def free(self, device: str = "d0") -> int:
        return self.scheduler.fleet.devices[DeviceId(device)].free_slots

    def replayed(self) -> None:
        """What the journal has gives the same state again."""
        for run, machine in self.scheduler.runs.items():
            own = [entry for entry in self.entries if entry.event.run == run]
            assert state_of(replay(stored(own))) == state_of(machine)
