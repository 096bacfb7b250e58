"""The hub's side of planning by a client: its calls, and what becomes of its runs' reviews when it goes away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from ..graph import StarId
from ..graph.documents import load
from ..planner import EditPolicy, Remark
from ..scheduling import RunId, RunOptions
from .control_messages import POLL_S
from .errors import HubRefused
from .requests import ASKED_RUN
from .reviewing import LocalPlace, LocalReviews
from .unseen import withdraw_if_unseen

if TYPE_CHECKING:
    from .orchestrator import Orchestrator
    from .run import LocalRun

MAX_NOTE = 20_000
"""How many characters of what a planner says are taken."""

_OPTIONS = TypeAdapter(RunOptions)
_POLICY = TypeAdapter(EditPolicy)
_REMARK = TypeAdapter(Remark)


class ClientsPlanning:
    """What one client plans: the runs that it looks after. Nothing of them is held any more when it goes away."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._reviews: dict[str, LocalReviews] = {}
        self._answers: set[str] = set()

    async def close(self) -> None:
        """Let go of what is held for the client."""
        for reviews in self._reviews.values():
            await reviews.close()

    @property
    def _place(self) -> LocalPlace:
        return self._orchestrator.place

    def _own(self, arguments: Mapping[str, Any]) -> LocalReviews:
        run = str(arguments["run"])
        if run not in self._reviews:
            raise HubRefused("NotYours", f"run {run} is not looked after on this connection")
        return self._reviews[run]

    async def _run(self, arguments: Mapping[str, Any]) -> LocalRun:
        return await self._orchestrator.find_run(str(arguments["run"]))

    # --- calls -------------------------------------------------------------------------------------------------------

    async def profiles(self, arguments: Mapping[str, Any]) -> Any:
        """What the connected devices say of themselves."""
        return to_jsonable_python(await self._place.profiles())

    async def submit_for_review(self, arguments: Mapping[str, Any]) -> Any:
        """Start a run whose results the client looks at."""
        run, reviews = await self._place.submit_for_review(
            load(arguments["graph"]),
            _POLICY.validate_python(arguments["policy"]),
            run=RunId(str(arguments["run"])),
            options=_OPTIONS.validate_python(arguments.get("options") or {}),
            info=arguments.get("info") or {},
            remarks=[_checked_remark(said) for said in arguments.get("remarks") or ()],
        )
        self._reviews[run.id] = reviews
        await withdraw_if_unseen(run)
        return {"run": run.id, "name": run.name}

    async def asked(self, arguments: Mapping[str, Any]) -> Any:
        """What is known of a run that was made for a request; whoever asks about one that has ended may answer it."""
        known = await self._place.asked(str(arguments["run"]))
        if known.ended and not known.answered:
            self._answers.add(known.run)
        return ASKED_RUN.dump_python(known, mode="json")

    async def resume_for_review(self, arguments: Mapping[str, Any]) -> Any:
        """Have the client look at the results of a run that nobody looks after any more."""
        run, reviews = await self._place.resume_for_review(
            str(arguments["run"]),
            _POLICY.validate_python(arguments["policy"]),
            rerun_unknown=bool(arguments.get("rerun_unknown")),
        )
        self._reviews[run.id] = reviews
        return {"run": run.id, "name": run.name}

    async def reviews(self, arguments: Mapping[str, Any]) -> Any:
        """The next results to look at; null when none have come, and false when no more will."""
        reviews = self._own(arguments)
        with anyio.move_on_after(POLL_S):
            batch = await reviews.next()
            return {"number": batch.number, "stars": list(batch.stars)} if batch is not None else False
        return None

    async def reviewed(self, arguments: Mapping[str, Any]) -> Any:
        """The client has looked at a batch."""
        await self._own(arguments).done(int(arguments["number"]))

    async def stop_reviewing(self, arguments: Mapping[str, Any]) -> Any:
        """The client looks at nothing any more."""
        await self._own(arguments).close()

    async def keep_answer(self, arguments: Mapping[str, Any]) -> Any:
        """Keep the answer to a request with its run."""
        run = str(arguments["run"])
        if run not in self._answers:
            self._own(arguments)
        await self._place.keep_answer(run, str(arguments["answer"]))

    async def note(self, arguments: Mapping[str, Any]) -> Any:
        """Take down what a planner says."""
        self._own(arguments)
        await (await self._run(arguments)).note(_checked_remark(arguments["remark"]))

    async def propose(self, arguments: Mapping[str, Any]) -> Any:
        """Ask a person."""
        self._own(arguments)
        return await (await self._run(arguments)).begin_proposal(str(arguments["question"]), dict(arguments["shown"]))

    async def verdict(self, arguments: Mapping[str, Any]) -> Any:
        """The answer to a proposal; null when there is none yet."""
        run = await self._run(arguments)
        with anyio.move_on_after(POLL_S):
            verdict = await run.verdict_on(StarId(str(arguments["proposal"])))
            return {"approved": verdict.approved, "comment": verdict.comment}
        return None

    async def withdraw(self, arguments: Mapping[str, Any]) -> Any:
        """Take a question back."""
        self._own(arguments)
        run = await self._run(arguments)
        await run.withdraw_proposal(StarId(str(arguments["proposal"])), str(arguments.get("reason", "")))


def _checked_remark(said: Any) -> Remark:
    remark = _REMARK.validate_python(said)
    if len(remark.text) > MAX_NOTE:
        raise ValueError(f"a remark may have {MAX_NOTE} characters, and this one has {len(remark.text)}")
    return remark


PLANNING_CALLS: Mapping[str, Callable[[ClientsPlanning, Mapping[str, Any]], Awaitable[Any]]] = {
    "profiles": ClientsPlanning.profiles,
    "submit_for_review": ClientsPlanning.submit_for_review,
    "asked": ClientsPlanning.asked,
    "resume_for_review": ClientsPlanning.resume_for_review,
    "reviews": ClientsPlanning.reviews,
    "reviewed": ClientsPlanning.reviewed,
    "stop_reviewing": ClientsPlanning.stop_reviewing,
    "keep_answer": ClientsPlanning.keep_answer,
    "note": ClientsPlanning.note,
    "propose": ClientsPlanning.propose,
    "verdict": ClientsPlanning.verdict,
    "withdraw": ClientsPlanning.withdraw,
}
