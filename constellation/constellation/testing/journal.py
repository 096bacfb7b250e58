"""A journal on a `SimulatedDisk`: all promises of `constellation.journal.Journal`, without waiting, and with crashes.

What is written is bytes, and what is read after a crash is decoded from the bytes that are left. A call never suspends,
so `finished` can drive it without an event loop. It takes effect at once; it is durable when the disk has been synced,
which is left to whoever simulates what a crash may come in between of.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..journal import (
    INITIAL_STATE,
    Journal,
    JournalClosed,
    Record,
    RunBusy,
    RunExists,
    RunNotFound,
    RunSummary,
    SequenceConflict,
)
from ..journal.base import check_sizes, info_text, whole_characters
from ..journal.lookup import only_match
from ..journal.paging import RecordPages
from .disk import SimulatedDisk

_BYTES = "latin-1"
"""How bodies, which may be any bytes, are put into JSON texts."""

T = TypeVar("T")


def finished(call: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits for anything; raises RuntimeError when it does wait."""
    try:
        call.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    call.close()
    raise RuntimeError("this was to be done at once, but it waits for something")


@dataclass(slots=True)
class _Run:
    """What there is of one run; `lease` is its owner and when it ends."""

    name: str
    created_at: float
    touched_at: float
    parent: str | None
    info: dict[str, Any]
    state: str = INITIAL_STATE
    lease: tuple[str, float] | None = None
    records: list[Record] = field(default_factory=list)


class SimulatedJournal(Journal):
    """The journal that a disk holds."""

    def __init__(self, disk: SimulatedDisk) -> None:
        """Read what a disk has; a frame that a crash has torn is dropped."""
        self._disk = disk
        self._runs: dict[str, _Run] = {}
        self._closed = False
        for payload in disk.read():
            self._apply(json.loads(payload))

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Implement `Journal.create_run`."""
        kept = json.loads(info_text(info or {}))
        if run in self._all():
            raise RunExists(run)
        self._write(
            {"do": "create", "run": run, "name": whole_characters(name), "at": at, "parent": parent, "info": kept}
        )

    async def append(self, records: Sequence[Record]) -> None:
        """Implement `Journal.append`."""
        check_sizes(records)
        self._all()
        heads: dict[str, int] = {}
        for record in records:
            expected = (heads.get(record.run) or len(self._find(record.run).records)) + 1
            if record.seq != expected:
                raise SequenceConflict(record.run, expected, record.seq)
            heads[record.run] = expected
        rows = [(record.run, record.seq, record.at, record.kind, record.body.decode(_BYTES)) for record in records]
        self._disk.write(json.dumps({"do": "append", "records": rows}).encode())
        self._keep(records)

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        """Implement `Journal.set_state`."""
        kept = json.loads(info_text(info or {}))
        self._find(run)
        self._write({"do": "state", "run": run, "state": state, "at": at, "info": kept})

    def read(self, run: str, *, after: int = 0) -> AsyncIterator[Record]:
        """Implement `Journal.read`."""

        async def fetch(after: int) -> tuple[list[Record], bool]:
            return self._find(run).records[after:], False

        return RecordPages(fetch, after)

    async def runs(self, *, limit: int = 100, state: str | None = None) -> list[RunSummary]:
        """Implement `Journal.runs`."""
        fitting = [run for run, found in self._all().items() if state is None or found.state == state]
        fitting.reverse()  # the sort is stable: of runs created at one instant, the one added last comes first
        fitting.sort(key=lambda run: self._runs[run].created_at, reverse=True)
        return [self._summary(run) for run in fitting[: max(limit, 0)]]

    async def run(self, run_or_prefix: str) -> RunSummary:
        """Implement `Journal.run`."""
        matches = {run: found.parent for run, found in sorted(self._all().items()) if run.startswith(run_or_prefix)}
        return self._summary(only_match(run_or_prefix, matches, list(self._runs)))

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Implement `Journal.acquire`."""
        lease = self._find(run).lease
        if lease is not None and lease[0] != owner and lease[1] > at:
            raise RunBusy(run, *lease, at=at)
        self._write({"do": "lease", "run": run, "lease": (owner, at + lease_s)})

    async def release(self, run: str, *, owner: str) -> None:
        """Implement `Journal.release`."""
        found = self._all().get(run)
        if found is not None and found.lease is not None and found.lease[0] == owner:
            self._write({"do": "lease", "run": run, "lease": None})

    async def delete(self, run: str) -> None:
        """Implement `Journal.delete`."""
        self._find(run)
        self._write({"do": "delete", "run": run})

    async def aclose(self) -> None:
        """Implement `Journal.aclose`."""
        self._closed = True

    # --- what is on the disk -----------------------------------------------------------------------------------------

    def _all(self) -> dict[str, _Run]:
        if self._closed:
            raise JournalClosed
        return self._runs

    def _find(self, run: str) -> _Run:
        found = self._all().get(run)
        if found is None:
            raise RunNotFound(run)
        return found

    def _write(self, change: dict[str, Any]) -> None:
        self._disk.write(json.dumps(change).encode())
        self._apply(change)

    def _apply(self, change: dict[str, Any]) -> None:
        match change:
            case {"do": "append", "records": rows}:
                self._keep([Record(run, seq, at, kind, body.encode(_BYTES)) for run, seq, at, kind, body in rows])
            case {"do": "create", "run": run, "name": name, "at": at, "parent": parent, "info": info}:
                self._runs[run] = _Run(name, at, at, parent, info)
            case {"do": "state", "run": run, "state": state, "at": at, "info": info}:
                found = self._runs[run]
                found.state, found.touched_at, found.info = state, max(found.touched_at, at), found.info | info
            case {"do": "lease", "run": run, "lease": lease}:
                self._runs[run].lease = None if lease is None else (lease[0], lease[1])
            case {"do": "delete", "run": run}:
                del self._runs[run]

    def _keep(self, records: Sequence[Record]) -> None:
        for record in records:
            self._runs[record.run].records.append(record)

    def _summary(self, run: str) -> RunSummary:
        found = self._runs[run]
        last_at = found.records[-1].at if found.records else found.touched_at
        return RunSummary(
            run=run,
            name=found.name,
            state=found.state,
            created_at=found.created_at,
            updated_at=max(found.touched_at, last_at),
            parent=found.parent,
            events=len(found.records),
            info=json.loads(info_text(found.info)),
        )
