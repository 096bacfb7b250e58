"""Every store of ours does what every store has to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint_if_cancelled

from constellation.journal import Journal, Record, open_journal
from constellation.testing.disk import SimulatedDisk
from constellation.testing.journal import SimulatedJournal
from constellation.testing.journals import JournalConformance, OpenStore, SharedJournalConformance


class TestMemory(JournalConformance):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        return lambda: open_journal(":memory:")


class TestSqlite(SharedJournalConformance):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: open_journal(tmp_path / "conformance.db")


class TestPostgres(SharedJournalConformance):
    @pytest.fixture
    def open_store(self, postgres_url: str) -> OpenStore:
        return lambda: open_journal(postgres_url)


class _Cancellable(SimulatedJournal):
    """With what a journal that never waits can't do by itself: notice that its caller has been cancelled."""

    async def append(self, records: Sequence[Record]) -> None:
        await checkpoint_if_cancelled()
        await super().append(records)


class TestSimulated(JournalConformance):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Journal]:
            journal = _Cancellable(SimulatedDisk())
            yield journal
            await journal.aclose()

        return opened
