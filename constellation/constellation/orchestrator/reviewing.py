"""Runs that are looked after by a planner outside of the orchestrator: in this process, or at a client of a hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from constellation_protocol.messages import DeviceProfile

from ..graph import TaskConstellation
from ..journal import Journal
from ..planner import EditPolicy, Remark
from ..scheduling import RunId, RunOptions
from .errors import CannotResume
from .gathering import Gatherer, ReviewBatch
from .intake import Intake
from .recovery import read_entries, replay, shown
from .report import RunReport
from .requests import AskedRun, KeptRequest
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
        self,
        graph: TaskConstellation,
        policy: EditPolicy,
        *,
        run: RunId,
        options: RunOptions,
        info: Mapping[str, Any],
        remarks: Sequence[Remark],
    ) -> tuple[Run, Reviews]:
        """Start a run whose results are looked at by the caller, as a policy has it; raises what `submit` raises.

        What the planner has remarked before is in the journal with the run's beginning, or neither is.
        """

    async def asked(self, run: str) -> AskedRun:
        """What is known of a run that was made for a request; raises CannotResume for others."""

    async def resume_for_review(self, run: str, policy: EditPolicy, *, rerun_unknown: bool) -> tuple[Run, Reviews]:
        """Look at the results of a run from now on that nobody looks after any more; raises what `resume` raises."""

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """The graph with its states, and the report, of any run in the journal."""

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
        self,
        graph: TaskConstellation,
        policy: EditPolicy,
        *,
        run: RunId,
        options: RunOptions,
        info: Mapping[str, Any],
        remarks: Sequence[Remark],
    ) -> tuple[LocalRun, LocalReviews]:
        """See `Place.submit_for_review`."""
        if not RUN_ID.fullmatch(run):
            raise ValueError(f"{run!r} is no id for a run: take one of new_run_id()")
        gatherer = Gatherer(policy)
        planner = gatherer if policy.when != "never" else None
        started = await self._intake.submit(
            graph, options=options, info=info, planner=planner, run=run, remarks=remarks
        )
        return started, LocalReviews(gatherer)

    async def asked(self, run: str) -> AskedRun:
        """See `Place.asked`."""
        journal = self._book.journal
        summary = await journal.run(run)
        KeptRequest.of(summary.run, summary.info)  # others need not be read
        entries = await read_entries(journal, summary.run)
        held = self._book.runs.get(RunId(summary.run))
        machine = held.machine if held is not None else replay(entries)
        planner = self._book.planners.get(RunId(summary.run))
        attended = isinstance(planner, Gatherer) and planner.attended and not planner.closed
        return AskedRun.of(summary, entries[0], machine, attended=attended)

    async def resume_for_review(
        self, run: str, policy: EditPolicy, *, rerun_unknown: bool
    ) -> tuple[LocalRun, LocalReviews]:
        """See `Place.resume_for_review`."""
        summary = await self._book.journal.run(run)
        id = RunId(summary.run)
        if id not in self._book.runs:
            fresh = Gatherer(policy)
            planner = fresh if policy.when != "never" else None
            return await self._intake.resume(id, planner=planner, rerun_unknown=rerun_unknown), LocalReviews(fresh)
        held, known = self._book.runs[id], self._book.planners.get(id)
        if known is not None and not (isinstance(known, Gatherer) and (known.closed or not known.attended)):
            raise CannotResume(f"run {id} is looked after by its planner already")
        if not isinstance(known, Gatherer) or known.closed:
            known = Gatherer(policy)
            if held.machine.review and not held.machine.ended:
                self._book.planners[id] = known
        known.attended = True
        return held, LocalReviews(known)

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """See `Place.show`."""
        return await shown(self._book.journal, run)

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
