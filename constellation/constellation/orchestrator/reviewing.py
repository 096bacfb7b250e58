"""Runs that are looked after by a planner outside of the orchestrator: in this process, or at a client of a hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from constellation_protocol.messages import DeviceProfile

from ..graph import TaskConstellation
from ..journal import Journal
from ..planner import EditPolicy
from ..scheduling import RunId, RunOptions
from .gathering import Gatherer, ReviewBatch
from .intake import Intake
from .run import LocalRun, Run
from .run_book import RunBook

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z]{6}")
"""What the id of a run looks like that a planner has chosen before the run began."""

MAX_ANSWER = 100_000
"""How many characters of an answer are kept with its run."""


class Reviews(Protocol):
    """The results of one run, in batches, for its planner."""

    async def next(self) -> ReviewBatch | None:
        """Wait for results to look at; None when no more will come."""

    async def done(self, number: int) -> None:
        """Let go on what waits for the stars of a batch."""

    async def close(self) -> None:
        """Look at nothing any more; what waits goes on."""


class Place(Protocol):
    """Where requests are carried out: an orchestrator in this process, or a hub."""

    async def profiles(self) -> Mapping[str, DeviceProfile]:
        """What the connected devices say of themselves, by their names."""

    async def submit_for_review(
        self, graph: TaskConstellation, policy: EditPolicy, *, run: RunId, options: RunOptions, info: Mapping[str, Any]
    ) -> tuple[Run, Reviews]:
        """Start a run whose results are looked at by the caller, as a policy has it; raises what `submit` raises."""

    async def keep_answer(self, run: str, answer: str) -> None:
        """Keep the answer to the request that a run was made for, with the run, which has ended."""


class LocalPlace:
    """An orchestrator in this process."""

    def __init__(self, book: RunBook, intake: Intake) -> None:
        self._book = book
        self._intake = intake

    async def profiles(self) -> Mapping[str, DeviceProfile]:
        """See `Place.profiles`."""
        return self._book.profiles

    async def submit_for_review(
        self, graph: TaskConstellation, policy: EditPolicy, *, run: RunId, options: RunOptions, info: Mapping[str, Any]
    ) -> tuple[LocalRun, LocalReviews]:
        """See `Place.submit_for_review`."""
        if not RUN_ID.fullmatch(run):
            raise ValueError(f"{run!r} is no id for a run: take one of new_run_id()")
        gatherer = Gatherer(policy)
        planner = gatherer if policy.when != "never" else None
        started = await self._intake.submit(graph, options=options, info=info, planner=planner, run=run)
        return started, LocalReviews(gatherer)

    async def keep_answer(self, run: str, answer: str) -> None:
        """See `Place.keep_answer`."""
        await keep_answer(self._book.journal, run, answer, at=self._book.engine.clock())


class LocalReviews:
    """The results of a run of this process."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def next(self) -> ReviewBatch | None:
        """See `Reviews.next`."""
        return await self._gatherer.next()

    async def done(self, number: int) -> None:
        """See `Reviews.done`."""
        self._gatherer.done(number)

    async def close(self) -> None:
        """See `Reviews.close`."""
        self._gatherer.close()


async def keep_answer(journal: Journal, run: str, answer: str, *, at: float) -> None:
    """Note the answer to a run's request in its summary; raises RunNotFound."""
    summary = await journal.run(run)
    await journal.set_state(summary.run, summary.state, at=at, info={"answer": answer[:MAX_ANSWER]})
