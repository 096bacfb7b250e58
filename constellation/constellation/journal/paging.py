"""Iteration over records in pages, so that a long run is never in memory as a whole."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from .base import Record
from .errors import JournalCorrupt

PAGE_RECORDS = 500
"""How many records a store reads at once at most."""

PAGE_BYTES = 4 * 1024 * 1024
"""After how many bytes of bodies a page ends early."""

MOST_ROWS = 2**31 - 1
"""The largest limit that every database takes; a larger one means all."""

StoredRow = tuple[int, float, str, int, bytes]
"""A record as stores keep it: its number, when it happened, its kind, the CRC-32 of its body, its body."""


def checked_page(where: str, run: str, after: int, rows: Iterable[StoredRow]) -> tuple[list[Record], bool]:
    """Return the records that a store has found behind number `after`, and whether there may be more.

    Args:
        where: What the journal is called in errors.
        run: The run's id.
        after: The number that the page follows.
        rows: At most `PAGE_RECORDS`; none is taken once the page has `PAGE_BYTES`.

    Raises:
        JournalCorrupt: a record is missing or is not what was written.
    """
    records: list[Record] = []
    size = 0
    for seq, at, kind, crc, body in rows:
        after += 1
        if seq != after:
            raise JournalCorrupt(where, f"record {after} of run {run!r} is missing")
        if zlib.crc32(body) != crc:
            raise JournalCorrupt(where, f"record {seq} of run {run!r} is not what was written")
        records.append(Record(run, seq, at, kind, body))
        size += len(body)
        if size >= PAGE_BYTES:
            return records, True
    return records, len(records) == PAGE_RECORDS


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
