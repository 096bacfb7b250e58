"""Iteration over records in pages, so that a long run is never in memory as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from .base import Record


class RecordPages(AsyncIterator[Record]):
    """An iterator, rather than a generator, because an abandoned iterator holds nothing that must be closed."""

    __slots__ = ("_after", "_fetch", "_more", "_page")

    def __init__(self, fetch: Callable[[int], Awaitable[tuple[list[Record], bool]]], after: int) -> None:
        """Iterate from the record that follows number `after`.

        Args:
            fetch: Returns the page of records that follows a number, and whether there may be more after it.
            after: The number to start behind.
        """
        self._fetch = fetch
        self._after = max(after, 0)
        self._page: deque[Record] = deque()
        self._more = True

    async def __anext__(self) -> Record:
        if not self._page:
            if not self._more:
                raise StopAsyncIteration
            records, self._more = await self._fetch(self._after)
            if not records:
                self._more = False
                raise StopAsyncIteration
            self._after = records[-1].seq
            self._page.extend(records)
        return self._page.popleft()
