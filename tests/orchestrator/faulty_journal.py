"""A journal whose faults the tests choose: calls that fail, or wait until they are let through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from constellation.journal import JournalUnavailable, Record
from constellation.journal.memory import MemoryJournal


class FaultyJournal(MemoryJournal):
    """Attributes: `broken` names the calls that fail; `gate`, when it is set, is what `append` waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.gate: anyio.Event | None = None
        self.at_gate = anyio.Event()

    def _check(self, call: str) -> None:
        if call in self.broken:
            raise JournalUnavailable("memory", "the disk is full")

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        self._check("create_run")
        await super().create_run(run, name=name, at=at, parent=parent, info=info)

    async def append(self, records: Sequence[Record]) -> None:
        if self.gate is not None:
            self.at_gate.set()
            await self.gate.wait()
        self._check("append")
        await super().append(records)

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        self._check("set_state")
        await super().set_state(run, state, at=at, info=info)

    async def release(self, run: str, *, owner: str) -> None:
        self._check("release")
        await super().release(run, owner=owner)


def install(monkeypatch: pytest.MonkeyPatch, journal: FaultyJournal) -> None:
    """Have every orchestrator of this test use this journal; it is not closed in between."""

    @asynccontextmanager
    async def opened(where: object) -> AsyncIterator[FaultyJournal]:
        yield journal

    monkeypatch.setattr("constellation.orchestrator.orchestrator.open_journal", opened)
