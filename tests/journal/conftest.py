"""The stores that the conformance tests run against: a new store is put under them by adding it to `STORES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from constellation.journal import Journal, Record, open_journal

STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Journal]]] = {
    "memory": lambda directory: open_journal(":memory:"),
    "sqlite": lambda directory: open_journal(directory / "conformance.db"),
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
