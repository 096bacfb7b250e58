"""The engine: the one task that drives the scheduler. It takes events in, journals what follows, then carries it out.

Everything that has come by the time one group is stored goes into the next, so a slow disk makes groups larger, not the
queue longer. Nothing is carried out, and nobody is told, before the journal has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import anyio

from ..graph import GraphError
from ..journal import MAX_BODY_BYTES, Journal, JournalError, Record, SequenceConflict
from ..scheduling import FleetEvent, JournalEntry, RunEvent, RunId, Scheduler, SchedulingError
from ..scheduling import commands as cmd
from ..scheduling.events import GraphEdited, RunStarted
from ..scheduling.inputs import Tick
from ..scheduling.records import encode_entry
from .errors import OrchestratorStopped, TooLarge

Clock = Callable[[], float]


class Carrier(Protocol):
    """Carries out what the engine's scheduler wants done; never waits."""

    def entered(self, entry: JournalEntry) -> None:
        """An entry is in the journal."""

    def carry_out(self, command: cmd.Command, at: float) -> None:
        """Do what a command says."""

    def lost(self, run: RunId, error: JournalError) -> set[RunId]:
        """Another writer has a run: let go of it and of those it is nested with, and return them all."""


class _Item:
    """An event on its way in, and what became of it for whoever waits."""

    __slots__ = ("done", "error", "event")

    def __init__(self, event: RunEvent | FleetEvent, done: anyio.Event | None) -> None:
        self.event = event
        self.done = done
        self.error: Exception | None = None


class Engine:
    """Drives a scheduler.

    Attributes:
        scheduler: The state machine; only this class gives it events.
        clock: The time in seconds since the epoch.
    """

    def __init__(self, scheduler: Scheduler, journal: Journal, carrier: Carrier, *, clock: Clock = time.time) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self._journal = journal
        self._carrier = carrier
        self._inbox: list[_Item] = []
        self._in_hand: list[_Item] = []
        self._wake = anyio.Event()
        self._seqs: dict[str, int] = {}  # the number of the last record of every run in hand
        self._stopped = False

    def post(self, event: RunEvent | FleetEvent) -> None:
        """Take an event in, without waiting; after `stop` it is ignored."""
        self._put(_Item(event, None))

    async def ask(self, *events: RunEvent | FleetEvent) -> None:
        """Take events in and wait until what follows from them is stored and under way.

        Whoever is cancelled meanwhile has asked nonetheless: what follows is stored and carried out.

        Raises:
            SchedulingError, GraphError: the last event can't be granted.
            OrchestratorStopped: `stop` has been called, or the journal has failed.
        """
        if self._stopped:
            raise OrchestratorStopped
        for event in events[:-1]:
            self._put(_Item(event, None))
        item = _Item(events[-1], anyio.Event())
        self._put(item)
        assert item.done is not None
        await item.done.wait()
        if item.error is not None:
            raise item.error

    def _put(self, item: _Item) -> None:
        if not self._stopped:
            if not self._inbox:
                self._wake.set()
            self._inbox.append(item)

    def recovered(self, run: str, records: int) -> None:
        """Go on numbering a run's records after those that its journal has."""
        self._seqs[run] = records

    def let_go(self, run: RunId) -> None:
        """Have nothing more to do with a run: it has ended, or someone else has it."""
        self._seqs.pop(run, None)
        self.scheduler.drop(run)

    def stop(self) -> None:
        """Take nothing in any more; what is being stored is still stored."""
        self._stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`; raises what the journal raises."""
        try:
            while not self._stopped:
                await self._wait_for_items()
                self._in_hand, self._inbox = self._inbox, []
                await self._work(self._in_hand)
                self._in_hand = []
        finally:
            self._stopped = True
            for item in (*self._in_hand, *self._inbox):
                _finish(item, item.error or OrchestratorStopped())
            self._inbox.clear()

    async def _wait_for_items(self) -> None:
        """Wait until something has come in, a tick that is due included, or nothing will."""
        while not self._stopped:
            now = self.clock()
            due = self.scheduler.next_due_at()
            if due is not None and due <= now:
                self._inbox.append(_Item(Tick(now), None))
            if self._inbox:
                break
            self._wake = anyio.Event()
            with anyio.move_on_after(None if due is None else due - now):
                await self._wake.wait()

    async def _work(self, items: Sequence[_Item]) -> None:
        entries: list[JournalEntry] = []
        commands: list[cmd.Command] = []
        for item in items:
            try:
                step = self.scheduler.handle(item.event)
            except (SchedulingError, GraphError) as error:
                if item.done is None:
                    raise
                item.error = error
                continue
            entries += step.entries
            commands += step.commands
        lost = await self._store(entries)
        for entry in entries:
            if entry.event.run not in lost:
                self._carrier.entered(entry)
        at = self.clock()
        for command in commands:
            if command.run not in lost:
                self._carrier.carry_out(command, at)
        for item in items:
            _finish(item, item.error)

    async def _store(self, entries: Sequence[JournalEntry]) -> set[RunId]:
        """Store entries, and return the runs that turn out to be someone else's by now: theirs are not stored."""
        records = []
        lost: set[RunId] = set()
        for entry in entries:
            event = entry.event
            run = event.run
            if isinstance(event, RunStarted):
                await self._create(event)
            seq = self._seqs.get(run, 0) + 1
            self._seqs[run] = seq
            records.append(self._record(entry, seq))
        while records:
            try:
                await self._journal.append(records)
                break
            except SequenceConflict as conflict:
                lost |= self._carrier.lost(RunId(conflict.run), conflict)
                records = [record for record in records if record.run not in lost]
        return lost

    async def _create(self, event: RunStarted) -> None:
        """Make the journal's entry of a nested run; those that are submitted have theirs already."""
        if event.parent is not None:
            name = str(event.graph.get("name", ""))
            await self._journal.create_run(event.run, name=name, at=event.at, parent=event.parent[0])

    def _record(self, entry: JournalEntry, seq: int) -> Record:
        event = entry.event
        return Record(event.run, seq, event.at, event.kind, encode_entry(entry))


def check_size(event: RunStarted | GraphEdited) -> None:
    """Refuse what would not fit into a record before anything of it is taken; raises TooLarge."""
    size = len(encode_entry(JournalEntry(event)))
    if size > MAX_BODY_BYTES:
        what = "the graph" if isinstance(event, RunStarted) else "the edit"
        raise TooLarge(what, size, MAX_BODY_BYTES)


def _finish(item: _Item, error: Exception | None) -> None:
    if item.done is not None:
        item.error = error
        item.done.set()


@contextmanager
def one_journal_error() -> Iterator[None]:
    """A journal that fails, fails all that use it at that moment: one of their errors stands for all of them."""
    try:
        yield
    except BaseExceptionGroup as group:
        failures, others = group.split(JournalError)
        if failures is None or others is not None:
            raise
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
