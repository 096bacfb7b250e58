"""The whole state of a run as plain values, to compare a replay with what was live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from constellation.graph.documents import dump
from constellation.scheduling import JournalEntry, RunMachine
from constellation.scheduling.events import RunStarted
from constellation.scheduling.records import decode_entry, encode_entry


def state_of(machine: RunMachine) -> dict[str, Any]:
    graph = machine.graph
    document = dump(graph)
    # The order in which stars and lines stand in a document follows from the order of edits, which a replay repeats.
    return {
        "graph": document,
        "edited_at": {star: graph._node(star).edited_at for star in graph},
        "lines": {
            (line.source, line.target): graph._node(line.target).inbound[line.source].status for line in graph.lines
        },
        "counts": dict(graph.counts),
        "state": machine.state,
        "closing": machine._closing,
        "review": machine.review,
        "holds": dict(machine._holds),
        "reviews": dict(machine._reviews),
        "parked": dict(machine._parked),
        "failed": list(machine._failed),
        "artifact_bytes": dict(machine.artifact_bytes),
        "tries": {
            # The attempt that is going on is among the attempts below.
            star: tuple(getattr(tries, name) for name in type(tries).__slots__ if name != "attempt")
            for star, tries in machine.tries.items()
        },
        "attempts": {
            # `unconfirmed` is about the orchestrator that looks, not about the run.
            id: tuple(getattr(attempt, name) for name in type(attempt).__slots__ if name != "unconfirmed")
            for id, attempt in machine.attempts.items()
        },
    }


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
