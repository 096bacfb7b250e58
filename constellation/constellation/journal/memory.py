"""A journal in this process's memory, for tests and for embedded use that needs no history: no thread, no disk.

It keeps all promises of a journal but durability. Bodies are kept by reference, info as JSON text, so that
nobody can change what is stored.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyio.lowlevel import checkpoint_if_cancelled

from .base import INITIAL_STATE, Journal, Record, RunSummary, check_sizes, info_text, whole_characters
from .errors import JournalClosed, RunBusy, RunExists, RunNotFound, SequenceConflict
from .lookup import only_match
from .paging import RecordPages


@dataclass(slots=True)
class _Run:
    """All that is kept of one run; `lease` is its owner and when it ends."""

    name: str
    created_at: float
    touched_at: float
    parent: str | None
    info: str
    state: str = INITIAL_STATE
    lease: tuple[str, float] | None = None
    records: list[Record] = field(default_factory=list)


class MemoryJournal(Journal):
    """A journal that is gone with the process."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._closed = False

    async def _enter(self) -> None:
        """Do what every call begins with; the methods have no other await, so each is atomic."""
        await checkpoint_if_cancelled()
        if self._closed:
            raise JournalClosed

    def _find(self, run: str) -> _Run:
        try:
            return self._runs[run]
        except KeyError:
            raise RunNotFound(run) from None

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Implement `Journal.create_run`."""
        text = info_text(info or {})
        await self._enter()
        if run in self._runs:
            raise RunExists(run)
        self._runs[run] = _Run(whole_characters(name), at, at, parent, text)

    async def append(self, records: Sequence[Record]) -> None:
        """Implement `Journal.append`."""
        check_sizes(records)
        await self._enter()
        heads: dict[str, int] = {}
        for record in records:
            expected = (heads.get(record.run) or len(self._find(record.run).records)) + 1
            if record.seq != expected:
                raise SequenceConflict(record.run, expected, record.seq)
            heads[record.run] = expected
        for record in records:
            self._runs[record.run].records.append(record)

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        """Implement `Journal.set_state`."""
        text = info_text(info or {})
        await self._enter()
        found = self._find(run)
        found.state = state
        found.touched_at = max(found.touched_at, at)
        found.info = info_text(json.loads(found.info) | json.loads(text))

    def read(self, run: str, *, after: int = 0) -> AsyncIterator[Record]:
        """Implement `Journal.read`."""

        async def fetch(after: int) -> tuple[list[Record], bool]:
            await self._enter()
            return self._find(run).records[after:], False

        return RecordPages(fetch, after)

    async def runs(self, *, limit: int = 100, state: str | None = None) -> list[RunSummary]:
        """Implement `Journal.runs`."""
        await self._enter()
        fitting = [run for run, found in self._runs.items() if state is None or found.state == state]
        fitting.reverse()  # the sort is stable: of runs created at one instant, the one added last comes first
        fitting.sort(key=lambda run: self._runs[run].created_at, reverse=True)
        return [self._summary(run) for run in fitting[: max(limit, 0)]]

    async def run(self, run_or_prefix: str) -> RunSummary:
        """Implement `Journal.run`."""
        await self._enter()
        matches = {run: found.parent for run, found in sorted(self._runs.items()) if run.startswith(run_or_prefix)}
        return self._summary(only_match(run_or_prefix, matches, list(self._runs)))

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Implement `Journal.acquire`."""
        await self._enter()
        found = self._find(run)
        if found.lease is not None:
            holder, expires_at = found.lease
            if holder != owner and expires_at > at:
                raise RunBusy(run, holder, expires_at, at=at)
        found.lease = (owner, at + lease_s)

    async def release(self, run: str, *, owner: str) -> None:
        """Implement `Journal.release`."""
        await self._enter()
        found = self._runs.get(run)
        if found is not None and found.lease is not None and found.lease[0] == owner:
            found.lease = None

    async def delete(self, run: str) -> None:
        """Implement `Journal.delete`."""
        await self._enter()
        self._find(run)
        del self._runs[run]

    async def aclose(self) -> None:
        """Implement `Journal.aclose`."""
        self._closed = True

    def _summary(self, run: str) -> RunSummary:
        found = self._runs[run]
        updated_at = max(found.touched_at, found.records[-1].at) if found.records else found.touched_at
        return RunSummary(
            run=run,
            name=found.name,
            state=found.state,
            created_at=found.created_at,
            updated_at=updated_at,
            parent=found.parent,
            events=len(found.records),
            info=json.loads(found.info),
        )
