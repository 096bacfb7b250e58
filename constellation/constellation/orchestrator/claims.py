"""The claims on the runs in hand: renewed while all is well, looked at again after the journal was away, let go of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from constellation_protocol.tasks import background

from ..journal import Journal, JournalAway, JournalError, RunBusy, RunNotFound
from .errors import OrchestratorStopped
from .recovery import LEASE_S, owner_name

if TYPE_CHECKING:
    from .run import LocalRun
    from .run_book import RunBook

RENEW_S = LEASE_S / 3
"""How often claims are renewed, in seconds."""

LET_GO_S = 10.0
"""How long the journal may take at the end to hear what is let go of, in seconds; claims run out by themselves."""


class Claims:
    """The claims on the runs of a book that have not ended. A nested run is claimed with the one that it is nested in.

    Attributes:
        owner: How this orchestrator signs its claims.
        on_overdue: Is called when claims could not be renewed in time, so that others may have the runs by now.
    """

    def __init__(self, book: RunBook) -> None:
        """Keep claims for a book; nothing is claimed yet."""
        self.owner = owner_name()
        self.on_overdue: Callable[[], None] = _nothing
        self._book = book
        self._stopping = False

    def stop(self) -> None:
        """From now on a journal that is away is nobody's concern any more."""
        self._stopping = True

    @contextmanager
    def unless_stopping(self) -> Iterator[None]:
        """What the end leaves undone while the journal is away is found in it by whoever goes on with the runs."""
        try:
            yield
        except JournalAway:
            if not self._stopping:
                raise

    def _claimed(self) -> list[LocalRun]:
        runs = self._book.runs.values()
        return [run for run in runs if run.log.finished is None and run.machine.parent is None]

    async def keep(self) -> None:
        """Renew the claims again and again; let a run go that another orchestrator has taken over."""
        with self.unless_stopping():
            while True:
                await anyio.sleep(RENEW_S)
                async with background() as tasks:
                    tasks.start_soon(self._overdue)
                    for run in self._claimed():
                        if run.machine.run in self._book.runs:  # else let go of while the others were renewed
                            await self._renew(self._book.journal, run)
                    tasks.cancel_scope.cancel()

    async def _overdue(self) -> None:
        await anyio.sleep(LEASE_S - RENEW_S)
        self.on_overdue()

    async def _renew(self, journal: Journal, run: LocalRun) -> JournalError | None:
        """Renew one claim; returns why it could not be, when the run is not this orchestrator's any more."""
        try:
            await journal.acquire(run.id, owner=self.owner, at=self._book.engine.clock(), lease_s=LEASE_S)
        except (RunBusy, RunNotFound) as error:
            self._book.engine.disown(run.machine.run, error)
            return error
        return None

    async def look_again(self, journal: Journal) -> Mapping[str, JournalError]:
        """Renew all claims; returns the runs that are others' by now, those nested in them included, and why."""
        lost: dict[str, JournalError] = {}
        for run in self._claimed():
            error = await self._renew(journal, run)
            if error is not None:
                lost |= dict.fromkeys(self._book.family(run.machine.run), error)
        return lost

    async def let_go_of_all(self) -> None:
        """Let others have the runs that have not ended, and tell whoever still watches them."""
        held = [run for run in self._book.runs.values() if run.log.finished is None]
        for run in held:
            run.log.close(OrchestratorStopped())
        with anyio.move_on_after(LET_GO_S, shield=True), suppress(JournalError):
            # When the journal has failed, what is wrong with it has been said; and a claim runs out by itself.
            for run in held:
                await self._book.journal.release(run.id, owner=self.owner)


def _nothing() -> None:
    """Nobody has to be told."""
