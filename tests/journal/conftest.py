"""The stores that the conformance tests run against: a new store is put under them by adding it to `STORES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint_if_cancelled

from constellation.journal import Journal, Record, open_journal
from constellation.testing.disk import SimulatedDisk
from constellation.testing.journal import SimulatedJournal


class _Cancellable(SimulatedJournal):
    """With what a journal that never waits can't do by itself: notice that its caller has been cancelled."""

    async def append(self, records: Sequence[Record]) -> None:
        await checkpoint_if_cancelled()
        await super().append(records)


@asynccontextmanager
async def _simulated(directory: Path) -> AsyncIterator[Journal]:
    journal = _Cancellable(SimulatedDisk())
    yield journal
    await journal.aclose()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Journal]]] = {
    "memory": lambda directory: open_journal(":memory:"),
    "sqlite": lambda directory: open_journal(directory / "conformance.db"),
    "simulated": _simulated,
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=list(STORES))
async def journal(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Journal]:
    """An empty store."""
    async with STORES[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def records() -> Callable[..., list[Record]]:
    """Make the records of a run numbered `first` to `last`."""

    def make(run: str, first: int, last: int) -> list[Record]:
        return [Record(run, seq, 100.0 + seq, f"kind-{seq % 3}", b'{"n":%d}' % seq) for seq in range(first, last + 1)]

    return make
