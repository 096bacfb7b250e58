"""The turns of an orchestrator, without their I/O: events in, records to store, then what is to be carried out.

A turn is a group of events that the scheduler takes in one after the other. What follows from all of them is stored in
one go, and only then carried out and told; whoever drives the turns does the storing in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ..graph import GraphError
from ..journal import Record
from ..scheduling import FleetEvent, InvariantBroken, JournalEntry, RunEvent, RunId, Scheduler, SchedulingError, Step
from ..scheduling import commands as cmd
from ..scheduling.records import encode_entry

AnyEvent = RunEvent | FleetEvent
"""What an orchestrator takes in."""

Refusal = SchedulingError | GraphError
"""Why an event was not granted; nothing has changed."""


class Carrier(Protocol):
    """Carries out what a scheduler wants done; never waits."""

    def entered(self, entry: JournalEntry) -> None:
        """An entry that is about a whole run (see `Step.of_runs`) is in the journal."""

    def carry_out(self, command: cmd.Command, at: float) -> None:
        """Do what a command says."""


class Turns:
    """Drives a scheduler turn by turn, and numbers the records of its runs.

    Attributes:
        scheduler: The state machine; only this class gives it events.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._seqs: dict[RunId, int] = {}  # the number of the last record of every run in hand

    def recovered(self, run: RunId, records: int) -> None:
        """Go on numbering a run's records after those that its journal has."""
        self._seqs[run] = records

    def last_record(self, run: RunId) -> int:
        """The number of the last record of a run in hand."""
        return self._seqs.get(run, 0)

    def let_go(self, run: RunId) -> None:
        """Have nothing more to do with a run: it has ended, or someone else has it."""
        self._seqs.pop(run, None)
        self.scheduler.drop(run)

    def take(self, events: Sequence[AnyEvent], turn: Step) -> Refusal | None:
        """Have the scheduler take a group of events in, and then place what waits; adds what follows to the turn.

        Returns:
            The first refusal, if any.

        Raises:
            InvariantBroken: the scheduler validates, and its state is inconsistent: nobody's request is to blame.
        """
        refusal: Refusal | None = None
        for event in events:
            try:
                self.scheduler.take(event, turn)
            except InvariantBroken:
                raise
            except (SchedulingError, GraphError) as error:
                refusal = refusal or error
        self.scheduler.place(events[-1].at, turn)
        return refusal

    def records(self, turn: Step) -> list[Record]:
        """The records that a turn's entries are stored as, each with the next number of its run."""
        records = []
        seqs = self._seqs
        for entry in turn.entries:
            event = entry.event
            seq = seqs[event.run] = seqs.get(event.run, 0) + 1
            records.append(Record(event.run, seq, event.at, event.kind, encode_entry(entry)))
        return records

    def carry_out(self, turn: Step, carrier: Carrier, at: float, *, lost: Collection[RunId] = ()) -> None:
        """Have everything done that follows from a turn which is stored, but for runs that have been lost."""
        for entry in turn.of_runs:
            if entry.event.run not in lost:
                carrier.entered(entry)
        commands = turn.commands
        if lost:
            commands = [command for command in commands if command.run not in lost]
        for command in commands:
            carrier.carry_out(command, at)
