"""How far a run has come, as its journal has it: read again and again, by whoever waits for it to come further."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from constellation.journal import Journal
from constellation_protocol.signal import Signal

from ..errors import Standstill
from .account import Account

LOOK_S = 0.05
"""How often the journal is read, in seconds: another process writes it, and nothing tells when."""


class Progress:
    """Follows the journal of one run.

    Attributes:
        account: What has been read.
    """

    def __init__(self, journal: Journal, run: str, *, patience_s: float, looked: Callable[[], None]) -> None:
        """Follow a run.

        Args:
            journal: Where it is kept.
            run: Its id.
            patience_s: Seconds without a new record after which it counts as standing still.
            looked: Called after each look.
        """
        self.account = Account()
        self._journal = journal
        self._run = run
        self._patience_s = patience_s
        self._looked = looked
        self._look = Signal()

    async def follow(self) -> None:
        """Read until the run is over.

        Raises:
            Standstill: nothing has happened for too long.
        """
        moved_at = time.monotonic()
        while not self.account.over:
            before = self.account.records
            await self._read()
            if self.account.records > before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > self._patience_s:
                raise Standstill(f"came to a standstill: no record for {self._patience_s:g} s; {self.told()}")
            self._looked()
            self._look.notify()
            await anyio.sleep(LOOK_S)

    async def _read(self) -> None:
        async for record in self._journal.read(self._run, after=self.account.records):
            self.account.take(record)

    async def until(self, reached: Callable[[Account], bool]) -> bool:
        """Wait until the account is such, or the run is over; returns whether it is such."""
        while not (found := reached(self.account)) and not self.account.over:
            await self.next_look()
        return found

    async def next_look(self) -> None:
        """Wait until the journal has been read once more."""
        await self._look.wait()

    def told(self) -> str:
        """How many stars are in each state, in words."""
        return ", ".join(f"{count:,} {state}" for state, count in self.account.counts.items() if count)
