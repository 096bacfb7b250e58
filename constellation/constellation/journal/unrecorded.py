"""A journal that keeps which runs there are and nothing of what happens in them.

For runs that nobody will ever take up again: nothing is encoded, and nothing kept, for each of their events.
"""

from __future__ import annotations

from collections.abc import Sequence

from .base import Record
from .memory import MemoryJournal


class UnrecordedJournal(MemoryJournal):
    """Summaries and leases in this process's memory, without records."""

    keeps_records = False

    async def append(self, records: Sequence[Record]) -> None:
        """Take records in, and forget them."""
        await self._enter()
