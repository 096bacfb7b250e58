"""Going through the records of a run again, to find where they lead, and the first one that can't be right.

What a journal has can be wrong in three ways: a record can't be read, a record does not fit what was before it, or all
fit and the state that they make contradicts itself. Each is told with the number of the record that brings it to light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InvariantBroken
from .events import JournalEntry, RunStarted
from .invariants import check_run
from .records import decode_entry
from .run import RunMachine
from .scheduler import Scheduler

CHECKED_STARS = 2_000_000
"""How many stars are looked at, over all records of a run, before only every so many records are checked: a check costs
as much as the run has stars."""


@dataclass(frozen=True, slots=True)
class Retraced:
    """Where the records of a run lead.

    Attributes:
        machine: The run after the records that are right; None when there are none.
        entries: Those records, read.
        problem: What is wrong with the record after them; None when there is none, or nothing is wrong with it.
    """

    machine: RunMachine | None
    entries: Sequence[JournalEntry]
    problem: str | None


def retrace(bodies: Sequence[bytes]) -> Retraced:
    """Go through the records of one run, given as the texts that its journal has, without side effects."""
    entries, problem = _read(bodies)
    found = _first_fault(entries)
    if found is not None:
        number, problem = found
        del entries[number - 1 :]
    scheduler = Scheduler()
    for entry in entries:
        scheduler.retrace(entry)
    return Retraced(next(iter(scheduler.runs.values()), None), entries, problem)


def _read(bodies: Sequence[bytes]) -> tuple[list[JournalEntry], str | None]:
    entries: list[JournalEntry] = []
    for body in bodies:
        try:
            entries.append(decode_entry(body))
        except ValueError as error:
            return entries, f"it can't be read: {error}"
    return entries, None


def _first_fault(entries: Sequence[JournalEntry]) -> tuple[int, str] | None:
    """The number of the first record that can't be right, and why."""
    stars = 0
    if entries and isinstance(entries[0].event, RunStarted):
        stars = len(entries[0].event.graph.get("stars", ()))
    stride = 1 + len(entries) * stars // CHECKED_STARS
    found = _fault_in(entries, stride=stride, since=0)
    if found is not None and stride > 1:
        found = _fault_in(entries, stride=1, since=found[0] - stride) or found
    return found


def _fault_in(entries: Sequence[JournalEntry], *, stride: int, since: int) -> tuple[int, str] | None:
    """The same, when from record `since` on the state is checked after every `stride` records and after the last."""
    scheduler = Scheduler()
    for number, entry in enumerate(entries, start=1):
        if entry.event.run != entries[0].event.run:
            return number, f"it is of another run, {entry.event.run!r}"
        try:
            if not scheduler.retrace(entry):
                return number, "it changes nothing here, but did when it was written"
            if number > since and (number % stride == 0 or number == len(entries)):
                check_run(scheduler, entry.event.run)
        except InvariantBroken as error:
            return number, f"after it an invariant is broken: {error}"
        except Exception as error:  # whatever a record that is not right leads to is what is looked for
            return number, f"it does not fit what was before it: {type(error).__name__}: {error}"
    return None
