"""Runs brought back from what a journal has of them, to compare with those that are live."""

from __future__ import annotations

from collections.abc import Iterable

from constellation.scheduling import JournalEntry, RunMachine
from constellation.scheduling.events import RunStarted
from constellation.scheduling.records import decode_entry, encode_entry


def stored(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """Entries as they come back from a journal."""
    return [decode_entry(encode_entry(entry)) for entry in entries]


def replay(entries: Iterable[JournalEntry]) -> RunMachine:
    """A run brought back from its entries alone."""
    machine: RunMachine | None = None
    for entry in entries:
        if machine is None:
            assert isinstance(entry.event, RunStarted)
            machine = RunMachine(entry.event)
        assert machine.apply(entry.event, [], entry.verdicts) is not None
    assert machine is not None
    return machine
