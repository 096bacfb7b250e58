"""What the checks of a store are made of: the fixtures that give them one, and what they write and read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from ...journal import Journal, Record

OpenStore = Callable[[], AbstractAsyncContextManager[Journal]]
"""Opens the store that one test is about: empty at first, the same one each time."""


class StoreChecks:
    """A class of tests of the store that `open_store` opens."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """To be overridden by a fixture that returns what opens the store."""
        raise NotImplementedError("override the fixture open_store: it returns a function that opens your store")

    @pytest.fixture
    async def journal(self, open_store: OpenStore, anyio_backend: object) -> AsyncIterator[Journal]:
        """The store, open."""
        async with open_store() as opened:
            yield opened


def numbered(run: str, first: int, last: int) -> list[Record]:
    """The records of a run numbered `first` to `last`, each different from the others."""
    return [Record(run, seq, 100.0 + seq, f"kind-{seq % 3}", b'{"n":%d}' % seq) for seq in range(first, last + 1)]


async def read_all(journal: Journal, run: str, *, after: int = 0) -> list[Record]:
    """The records of a run behind a number."""
    return [record async for record in journal.read(run, after=after)]
