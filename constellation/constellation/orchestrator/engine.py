"""The engine: the one task that drives the scheduler. It takes events in, journals what follows, then carries it out.

Everything that has come by the time one group is stored goes into the next, so a slow disk makes groups larger, not the
queue longer. Nothing is carried out, and nobody is told, before the journal has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import anyio

from ..journal import (
    MAX_BODY_BYTES,
    Journal,
    JournalAway,
    JournalError,
    RunBusy,
    RunExists,
    RunNotFound,
    SequenceConflict,
)
from ..scheduling import JournalEntry, RunId, Scheduler, Step
from ..scheduling.events import GraphEdited, RunStarted
from ..scheduling.inputs import Tick
from ..scheduling.records import encode_entry
from .errors import OrchestratorStopped, RunInUse, TooLarge
from .turns import AnyEvent, Carrier, Turns

Clock = Callable[[], float]


class EngineCarrier(Carrier, Protocol):
    """Carries out what the engine's scheduler wants done; never waits."""

    def lost(self, run: RunId, error: Exception) -> set[RunId]:
        """Another writer has a run, or is to have it: let go of it and of those it is nested with, and return them all.

        It may have been let go of before; several ways lead to that being noticed.
        """


class _Item:
    """Events on their way in together, and what became of them for whoever waits."""

    __slots__ = ("done", "error", "events")

    def __init__(self, events: Sequence[AnyEvent], done: anyio.Event | None) -> None:
        self.events = events
        self.done = done
        self.error: Exception | None = None


class Engine:
    """Drives a scheduler.

    Attributes:
        scheduler: The state machine; only this class gives it events.
        clock: The time in seconds since the epoch.
    """

    def __init__(
        self, scheduler: Scheduler, journal: Journal, carrier: EngineCarrier, *, clock: Clock = time.time
    ) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self._turns = Turns(scheduler)
        self._journal = journal
        self._carrier = carrier
        self._inbox: list[_Item] = []
        self._in_hand: list[_Item] = []
        self._disowned: list[tuple[RunId, Exception]] = []
        self._wake = anyio.Event()
        self._stopped = False

    def post(self, event: AnyEvent) -> None:
        """Take an event in, without waiting; after `stop` it is ignored."""
        self._put(_Item((event,), None))

    async def ask(self, *events: AnyEvent) -> None:
        """Take events in and wait until what follows from them is stored and under way.

        Whoever is cancelled meanwhile has asked nonetheless: what follows is stored and carried out.

        Raises:
            SchedulingError, GraphError: an event can't be granted; the others have been taken in.
            RunInUse: a run that an event is about is another orchestrator's by now; what was asked of it is not stored.
            OrchestratorStopped: `stop` has been called, or the journal has failed.
        """
        if self._stopped:
            raise OrchestratorStopped
        done = anyio.Event()
        item = _Item(events, done)
        self._put(item)
        await done.wait()
        if item.error is not None:
            raise item.error

    def _put(self, item: _Item) -> None:
        if not self._stopped:
            if not self._inbox:
                self._wake.set()
            self._inbox.append(item)

    def recovered(self, run: RunId, records: int) -> None:
        """Go on numbering a run's records after those that its journal has."""
        self._turns.recovered(run, records)

    def last_record(self, run: RunId) -> int:
        """The number of the last record of a run in hand."""
        return self._turns.last_record(run)

    def let_go(self, run: RunId) -> None:
        """Have nothing more to do with a run: it has ended, or someone else has it."""
        self._turns.let_go(run)

    def disown(self, run: RunId, error: Exception) -> None:
        """Let go of a run that another writer is known to have, or is to have, without waiting.

        It is done between two turns: one that is being stored may be about this run.
        """
        self._disowned.append((run, error))
        self._wake.set()

    def stop(self) -> None:
        """Take nothing in any more; what is being stored is still stored."""
        self._stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`; raises what the journal raises, but that it is away when `stop` has been called.

        What could not be stored is then told to nobody, as if this process had been killed before it came.
        """
        try:
            while not self._stopped:
                await self._wait_for_items()
                disowned, self._disowned = self._disowned, []
                for run, error in disowned:
                    self._carrier.lost(run, error)
                self._in_hand, self._inbox = self._inbox, []
                await self._work(self._in_hand)
                self._in_hand = []
        except JournalAway:
            if not self._stopped:
                raise
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
                self._inbox.append(_Item((Tick(now),), None))
            if self._inbox or self._disowned:
                break
            self._wake = anyio.Event()
            with anyio.move_on_after(None if due is None else due - now):
                await self._wake.wait()

    async def _work(self, items: Sequence[_Item]) -> None:
        turn = Step()
        for item in items:
            item.error = self._turns.take(item.events, turn)
            if item.error is not None and item.done is None:
                raise item.error
        lost = await self._store(turn)
        self._turns.carry_out(turn, self._carrier, self.clock(), lost=lost)
        for item in items:
            _finish(item, item.error or _lost_with(item, lost))

    async def _store(self, turn: Step) -> set[RunId]:
        """Store a turn, and return the runs that turn out to be someone else's by now: theirs are not stored."""
        lost: set[RunId] = set()
        begun: dict[RunId, RunId] = {}  # runs that begin nested in others, outer ones first, and in which
        for entry in turn.of_runs:
            event = entry.event
            if isinstance(event, RunStarted) and event.parent is not None:
                # Runs that are submitted are in the journal already. This one may be if another orchestrator has begun
                # it too: whose it is, is decided by its first record.
                begun[event.run] = event.parent[0]
                name = str(event.graph.get("name", ""))
                with suppress(RunExists):
                    await self._journal.create_run(event.run, name=name, at=event.at, parent=event.parent[0])
        if not self._journal.keeps_records:
            return lost
        records = self._turns.records(turn)
        while records:
            try:
                await self._journal.append(records)
                break
            except (SequenceConflict, RunBusy, RunNotFound) as error:
                lost |= self._lose(RunId(error.run), error, begun)
                records = [record for record in records if record.run not in lost]
        return lost

    def _lose(self, run: RunId, error: Exception, begun: Mapping[RunId, RunId]) -> set[RunId]:
        """Let go of a run and those it is nested with, those that only begin included, and return them all."""
        while run in begun:
            run = begun[run]
        lost = self._carrier.lost(run, error)
        for child, parent in begun.items():
            if parent in lost:
                lost.add(child)
        for each in lost:  # what only begins is not the carrier's yet
            self._turns.let_go(each)
        return lost


def check_size(event: RunStarted | GraphEdited) -> None:
    """Refuse what would not fit into a record before anything of it is taken; raises TooLarge."""
    size = len(encode_entry(JournalEntry(event)))
    if size > MAX_BODY_BYTES:
        what = "the graph" if isinstance(event, RunStarted) else "the edit"
        raise TooLarge(what, size, MAX_BODY_BYTES)


def _lost_with(item: _Item, lost: set[RunId]) -> RunInUse | None:
    """Why nothing of what came in together counts as stored; None when it does."""
    for event in item.events if lost else ():
        run = getattr(event, "run", None)
        if run in lost:
            return RunInUse(f"run {run} has been taken over by another orchestrator")
    return None


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
