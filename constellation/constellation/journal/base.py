"""What a journal is: the records, the summaries of runs, and the interface that every store implements.

The journal knows nothing of what it keeps. A run is a list of records numbered from 1 without gaps, with a
summary beside it. Instants are seconds since the Unix epoch and come from the caller; no store reads a clock.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..graph.record import record
from .errors import RecordTooLarge

MAX_BODY_BYTES = 64 * 1024 * 1024
"""The largest body of a record, in bytes."""

INITIAL_STATE = "created"
"""The state in the summary of a run until the first `set_state`."""

Synchronous = Literal["full", "normal"]
"""`full` survives a power cut; `normal` may lose the last commits to one. Both survive the death of the process."""


@record
class Record:
    """One event of a run.

    Attributes:
        run: The run's id.
        seq: The record's number in its run, from 1 without gaps.
        at: When it happened.
        kind: What it is, for whoever filters without reading bodies.
        body: JSON text in UTF-8; stored and returned byte for byte, never looked into.
    """

    run: str
    seq: int
    at: float
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows of one.

    Attributes:
        run: The run's id.
        name: Its name, for people.
        state: The last state that was set; a word of the caller's, `INITIAL_STATE` at first.
        created_at: When it was created.
        updated_at: The latest of its creation, its last record, and its last change of state.
        parent: The run that it was started by; kept as given, even when that one is deleted.
        events: How many records it has, which is also the number of the last one.
        info: Free JSON (source file, counts, options).
    """

    run: str
    name: str
    state: str
    created_at: float
    updated_at: float
    parent: str | None
    events: int
    info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Durability:
    """What a store says of the connection that writes.

    Attributes:
        survives_power_cut: Whether what a call has made durable is there after a power cut too.
        settings: What that follows from, by the store's own names.
    """

    survives_power_cut: bool
    settings: Mapping[str, str]


class Journal(Protocol):
    """An append-only store of runs.

    An object belongs to the event loop that it was opened in; any number of tasks may use it at once, and other
    processes may have the same store open. Every method raises `JournalClosed` after `aclose`,
    `JournalUnavailable` when the store fails, and `JournalCorrupt` when it turns out damaged.

    A call that is cancelled returns at once. It has then taken effect wholly or not at all, and which of the two
    shows in the journal only.

    Attributes:
        keeps_records: Whether `append` keeps anything; where it does not, there is no need to call it.
        may_be_away: Whether calls may raise `JournalAway`, as those of a store in a server. What such a call was to
            change is then changed wholly or not at all, and may be so only a moment later.
    """

    keeps_records: bool = True
    may_be_away: bool = False

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Add a run without records; durable on return. In its name, halves of surrogate pairs become `?`.

        Raises:
            RunExists: the id is taken.
            TypeError, ValueError: `info` is not JSON.
        """

    async def append(self, records: Sequence[Record]) -> None:
        """Store records, of one run or several, all or none; durable on return.

        The sequence is what keeps a writer out that has lost its run to another: its next record conflicts.

        Raises:
            RunNotFound: a record's run is not in the journal.
            SequenceConflict: a record is not the next one of its run.
            RecordTooLarge: a body is over `MAX_BODY_BYTES`.
        """

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        """Change the summary: its state, and those keys of its info that `info` holds; durable on return.

        Raises:
            RunNotFound: there is no such run.
            TypeError, ValueError: `info` is not JSON.
        """

    def read(self, run: str, *, after: int = 0) -> AsyncIterator[Record]:
        """Iterate over the records numbered above `after`, in order, up to the last one stored by then.

        Records that are appended meanwhile may be included. An iteration may be abandoned: nothing needs closing.

        Raises:
            RunNotFound: there is no such run; raised by the first step.
        """

    async def runs(self, *, limit: int = 100, state: str | None = None) -> list[RunSummary]:
        """Return the newest runs by creation, newest first, at most `limit`, of one state or of all."""

    async def run(self, run_or_prefix: str) -> RunSummary:
        """Return the summary of the run with this id, or else of the only one whose id begins with it.

        What a run has started itself, and has an id that begins like its own, is not in the way of finding it.

        Raises:
            RunNotFound: none fits; names ids that are close.
            AmbiguousRun: more than one id begins with it.
        """

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Take the run's lease until `at + lease_s`, or renew it when `owner` has it; durable on return.

        Owners in different processes compare their clocks through `at`.

        Raises:
            RunNotFound: there is no such run.
            RunBusy: another owner's lease has not expired at `at`.
        """

    async def release(self, run: str, *, owner: str) -> None:
        """Give up the run's lease; does nothing when `owner` does not have it."""

    async def delete(self, run: str) -> None:
        """Remove a run with its records and its lease. Runs that it is the parent of stay.

        Raises:
            RunNotFound: there is no such run.
        """

    async def durability(self) -> Durability:
        """Ask the store how durable it is; one that inherits this promises nothing."""
        return Durability(survives_power_cut=False, settings={})

    async def compact(self) -> None:
        """Give the space of what was deleted back; a store that does so by itself inherits this, which does nothing.

        Whoever writes to the store meanwhile, from anywhere, has to wait until it is done.
        """
        return

    async def aclose(self) -> None:
        """Finish the calls that are under way, then close; may be called again."""


def check_sizes(records: Sequence[Record]) -> None:
    """Refuse records that no store takes.

    Raises:
        RecordTooLarge: a body is over `MAX_BODY_BYTES`.
    """
    for one in records:
        if len(one.body) > MAX_BODY_BYTES:
            raise RecordTooLarge(one.run, one.seq, len(one.body), MAX_BODY_BYTES)


def whole_characters(name: str) -> str:
    """A name for people as every store takes it: halves of surrogate pairs, which no encoding has, become `?`."""
    return name.encode(errors="replace").decode()


def info_text(info: Mapping[str, Any]) -> str:
    """Return a run's info as JSON text.

    Raises:
        TypeError, ValueError: JSON can't hold it.
    """
    return json.dumps(dict(info), allow_nan=False, separators=(",", ":"))
