"""What happened to a run besides its stars' results: who edited the graph, and which work lost its device.

It is read from the journal, so it is whole even when the run was taken up by another process in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from constellation.graph.edits import AddStar
from constellation.scheduling import JournalEntry
from constellation.scheduling import events as ev


@dataclass(frozen=True, slots=True)
class Edit:
    """A batch of edits: `at_s` seconds after the run's beginning; `during` is how many stars were running then."""

    at_s: float
    author: str
    reason: str
    added: tuple[str, ...]
    during: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Work whose device went away; `placed_on` is where it was given to next, if anywhere."""

    star: str
    device: str
    reason: str
    placed_on: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """A run's story; `taken_up` counts how often another orchestrator went on with it."""

    edits: tuple[Edit, ...]
    losses: tuple[Loss, ...]
    taken_up: int


def tell(entries: Iterable[JournalEntry]) -> Story:
    """The story in the entries of a run, the first of which is its start."""
    began_at: float | None = None
    edits: list[Edit] = []
    lost: list[ev.AttemptLost] = []
    placed: dict[int, str] = {}
    taken_up = 0
    running: set[str] = set()
    for entry in entries:
        event = entry.event
        began_at = event.at if began_at is None else began_at
        if isinstance(event, ev.GraphEdited):
            added = tuple(
                operation.star.title for operation in event.batch.operations if isinstance(operation, AddStar)
            )
            edits.append(Edit(event.at - began_at, event.batch.author, event.batch.reason, added, len(running)))
        elif isinstance(event, ev.AttemptStarted):
            running.add(event.attempt)
        elif isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled):
            running.discard(event.attempt)
        elif isinstance(event, ev.AttemptLost):
            running.discard(event.attempt)
            lost.append(event)
        elif isinstance(event, ev.StarAssigned):
            for number, loss in enumerate(lost):
                if loss.star == event.star:
                    placed.setdefault(number, event.device)
        elif isinstance(event, ev.RunRecovered):
            taken_up += 1
    return Story(
        edits=tuple(edits),
        losses=tuple(Loss(loss.star, loss.device, loss.reason, placed.get(number)) for number, loss in enumerate(lost)),
        taken_up=taken_up,
    )
