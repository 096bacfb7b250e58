"""A journal that outlasts the absence of its store: what is to be written waits until the store is back.

A write whose answer was lost may have been done. It is asked for again, and what the store says then tells: a record
has one number in its run, a run one id, so that nothing is stored twice; what stands there already, byte for byte as it
was to be written, was written by the earlier try.

Before anything goes on, whoever owns this journal looks at its claims again: another may have taken its runs meanwhile.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from .base import Durability, Journal, Record, RunSummary
from .errors import JournalAway, JournalError, JournalUnavailable, RunExists, RunNotFound, SequenceConflict
from .outage import PATIENCE_S, Outage

__all__ = ["PATIENCE_S", "EnduringJournal"]

Reclaim = Callable[[Journal], Awaitable[Mapping[str, JournalError]]]
"""Renews one's claims in the store that it is given; returns the runs that others have by now, each with the error that
said so, those nested in them included."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Absence:
    """One absence of the store.

    Attributes:
        began_at: When it was noticed.
        outage: Says how long it is still waited for; begins anew when nobody has waited for a while.
        error: The store's last error.
        waiting: How many calls wait for its end.
        taken: The runs that were found to be someone else's in it, each with the error that said so.
    """

    began_at: float
    outage: Outage
    error: JournalAway
    waiting: int = 0
    taken: dict[str, JournalError] = field(default_factory=dict)


@dataclass(slots=True)
class _Call:
    """What became of a call so far.

    Attributes:
        began_at: When it was made.
        in_doubt: An earlier try may have been done.
        taken: The runs that were found to be someone else's while it waited.
    """

    began_at: float
    in_doubt: bool = False
    taken: Mapping[str, JournalError] = field(default_factory=dict)


class EnduringJournal(Journal):
    """A journal around one that may be away. Writes wait for it; reads don't, for they can be asked for again.

    The records of one run are to be appended by one task at a time. A write raises `JournalUnavailable` when the store
    was away for too long, and `append` raises what the claims said, `RunBusy` or `RunNotFound`, for a record of a run
    that was lost to another while it waited.
    """

    may_be_away = True

    def __init__(
        self,
        journal: Journal,
        *,
        reclaim: Reclaim,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Wait for a journal's store.

        Args:
            journal: The journal; it is closed with this one.
            reclaim: Is called before anything goes on, as often as it takes.
            patience_s: How long a write waits for the store, in seconds; with 0 it is asked for just once more.
            clock: The time in seconds, from any beginning.
            chance: Draws a number from [0, 1).

        Raises:
            ValueError: the patience is negative or not a number.
        """
        if not patience_s >= 0:
            raise ValueError(f"the patience with the journal is {patience_s} s; give 0 s or more")
        self.keeps_records = journal.keeps_records
        self._journal = journal
        self._reclaim = reclaim
        self._patience_s = patience_s
        self._clock = clock
        self._chance = chance
        self._absence: _Absence | None = None
        self._one_asks = anyio.Lock()
        self._hurry = anyio.Event()
        self._doubtful: set[str] = set()  # runs whose last records may or may not have been stored

    def wait_no_more(self) -> None:
        """From now on have writes fail while the store is away, those included that wait already."""
        self._hurry.set()

    # --- what is written ---

    async def append(self, records: Sequence[Record]) -> None:
        """Implement `Journal.append`; see the class for what else it raises."""

        async def attempt(call: _Call) -> None:
            for record in records if call.taken else ():
                if record.run in call.taken:
                    self._doubtful.discard(record.run)
                    raise call.taken[record.run]
            try:
                await self._journal.append(records)
            except JournalAway:
                self._doubtful.update(record.run for record in records)
                raise
            except SequenceConflict as conflict:
                if conflict.run not in self._doubtful or not await self._was_stored(records):
                    raise
            if self._doubtful:
                self._doubtful.difference_update(record.run for record in records)

        await self._lasting(attempt)

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Implement `Journal.create_run`."""

        async def attempt(call: _Call) -> None:
            try:
                await self._journal.create_run(run, name=name, at=at, parent=parent, info=info)
            except RunExists:
                if not call.in_doubt:
                    raise
                found = await self._journal.run(run)
                if (found.name, found.created_at, found.parent, found.info) != (name, at, parent, dict(info or {})):
                    raise

        await self._lasting(attempt)

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        """Implement `Journal.set_state`."""
        await self._lasting(lambda _: self._journal.set_state(run, state, at=at, info=info))

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        """Implement `Journal.acquire`; the lease begins when it is had, not when it was asked for."""

        async def attempt(call: _Call) -> None:
            waited_s = self._clock() - call.began_at
            await self._journal.acquire(run, owner=owner, at=at + waited_s, lease_s=lease_s)

        await self._lasting(attempt)

    async def release(self, run: str, *, owner: str) -> None:
        """Implement `Journal.release`."""
        await self._lasting(lambda _: self._journal.release(run, owner=owner))

    async def delete(self, run: str) -> None:
        """Implement `Journal.delete`."""

        async def attempt(call: _Call) -> None:
            try:
                await self._journal.delete(run)
            except RunNotFound:
                if not call.in_doubt:
                    raise

        await self._lasting(attempt)

    # --- what is not ---

    def read(self, run: str, *, after: int = 0) -> AsyncIterator[Record]:
        """Implement `Journal.read`."""
        return self._journal.read(run, after=after)

    async def runs(self, *, limit: int = 100, state: str | None = None) -> list[RunSummary]:
        """Implement `Journal.runs`."""
        return await self._journal.runs(limit=limit, state=state)

    async def run(self, run_or_prefix: str) -> RunSummary:
        """Implement `Journal.run`."""
        return await self._journal.run(run_or_prefix)

    async def durability(self) -> Durability:
        """Implement `Journal.durability`."""
        return await self._journal.durability()

    async def compact(self) -> None:
        """Implement `Journal.compact`."""
        await self._journal.compact()

    async def aclose(self) -> None:
        """Implement `Journal.aclose`."""
        self.wait_no_more()
        await self._journal.aclose()

    # --- waiting ---

    async def _lasting(self, attempt: Callable[[_Call], Awaitable[None]]) -> None:
        """Try once, and then until the store is back; nobody goes on in an absence without having looked at claims."""
        call = _Call(self._clock())
        while True:
            absence = self._absence
            if absence is None:
                try:
                    await attempt(call)
                    return
                except JournalAway as away:
                    call.in_doubt = True
                    absence = self._noticed(away)
            if absence.waiting == 0:
                absence.outage = Outage(self._clock(), patience_s=self._patience_s)
            absence.waiting += 1
            try:
                async with self._one_asks:
                    if self._absence is absence:
                        await self._ask_until_back(absence, attempt, call)
                        return
            finally:
                absence.waiting -= 1
            call.taken = absence.taken

    def _noticed(self, away: JournalAway) -> _Absence:
        if self._absence is None:
            now = self._clock()
            self._absence = _Absence(now, Outage(now, patience_s=self._patience_s), away)
            _log.warning("%s; what is to be stored waits for it, for up to %g s", away, self._patience_s)
        return self._absence

    async def _ask_until_back(
        self, absence: _Absence, attempt: Callable[[_Call], Awaitable[None]], call: _Call
    ) -> None:
        while not self._hurry.is_set():
            try:
                absence.taken.update(await self._reclaim(self._journal))
                call.taken = absence.taken
                await attempt(call)
            except JournalAway as away:
                call.in_doubt = True
                absence.error = away
            except JournalError:  # it is an answer all the same
                self._back(absence)
                raise
            else:
                self._back(absence)
                return
            now = self._clock()
            wait_s = absence.outage.next_wait_s(now, self._chance())
            if wait_s is None:
                away_s = now - absence.outage.began_at
                raise JournalUnavailable(
                    absence.error.where,
                    f"it has been away for {away_s:.0f} s, longer than it is waited for; in the end: "
                    f"{absence.error.reason}",
                ) from absence.error
            with anyio.move_on_after(wait_s):
                await self._hurry.wait()
        raise absence.error

    def _back(self, absence: _Absence) -> None:
        self._absence = None
        _log.warning("the journal %s is back, after %.1f s", absence.error.where, self._clock() - absence.began_at)

    async def _was_stored(self, records: Sequence[Record]) -> bool:
        """Whether the journal has all these records, byte for byte.

        Raises:
            SequenceConflict: it has, and others have written to one of the runs since, even if they have let go again.
        """
        by_run: dict[str, list[Record]] = {}
        for record in records:
            by_run.setdefault(record.run, []).append(record)
        for run, wanted in by_run.items():
            found = self._journal.read(run, after=wanted[0].seq - 1)
            for record in wanted:
                if await anext(found, None) != record:
                    return False
            if await anext(found, None) is not None:
                self._doubtful.discard(run)
                raise SequenceConflict(run, (await self._journal.run(run)).events + 1, wanted[0].seq)
        return True
