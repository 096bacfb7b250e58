"""Asking: a request is planned, run, looked after while it runs, and answered.

This is where the planner and the orchestrator meet, and the only file that knows what both do. The planner sees a run
through `EditHost`; the orchestrator sees somebody who looks at results in batches.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import anyio

from ..graph import (
    AddStar,
    Approval,
    EditBatch,
    EditRejected,
    Prompt,
    TaskConstellation,
    TaskStar,
    ToolCall,
    UpdateStar,
)
from ..llm import LLMError, Model, open_model
from ..planner import (
    Budget,
    Capabilities,
    ConstellationAgent,
    EditPolicy,
    Limits,
    Plan,
    PlannerError,
    Remark,
    Spent,
    Surroundings,
)
from ..scheduling import RunOptions, SchedulingError
from .errors import AdmissionRefused, ConstellationError, DevicesMissing, HubRefused, TooLarge
from .intake import new_run_id
from .report import RunReport
from .reviewing import Place, Reviews
from .run import Run
from .surveying import survey

REVIEW_TIMEOUT_S = 7_200.0
"""How long results may be looked at: a person may be asked meanwhile, who is given an hour."""

STOPPING_S = 15.0
"""How long the end of a run that is cancelled is waited for."""

PLAN_APPROVAL = "approve-plan"

_REFUSED_EDIT = ("EditRejected", "EditConflict", "CycleRejected", "AdmissionRefused", "TooLarge", "BadRequest")
"""What a hub says when an edit does not fit."""


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How a request is to be carried out.

    Attributes:
        edits: After which results the planner is consulted.
        budget: What it may use.
        approve: What a person is asked about before it is done: the `plan`, all `edits`, both, or nothing.
        exceptions: Whether a person is asked about edits that the capabilities do not permit; else they are refused.
        capabilities: What edits may do by themselves.
        limits: How much the planner may make.
        end_with_budget: Whether the run ends when the budget is used up; else it goes on without the planner.
        deadline_s: Seconds after which the run is ended.
    """

    edits: EditPolicy = field(default_factory=EditPolicy)
    budget: Budget = field(default_factory=Budget)
    approve: frozenset[Literal["plan", "edits"]] = frozenset()
    exceptions: bool = False
    capabilities: Capabilities = field(default_factory=Capabilities)
    limits: Limits = field(default_factory=Limits)
    end_with_budget: bool = False
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        text: The answer; None when there is none.
        problem: Why there is none; empty when there is one.
        reason: Why the plan was as it was, in the model's words.
        report: The run's account of itself.
        spent: What the planner has used.
    """

    text: str | None
    problem: str
    reason: str
    report: RunReport
    spent: Spent


class Asking:
    """A request that is being carried out.

    Attributes:
        run: The run.
        plan: What was planned.
    """

    def __init__(
        self, place: Place, agent: ConstellationAgent, plan: Plan, run: Run, options: AskOptions, gate: str | None
    ) -> None:
        """Not for direct use; see `asking`."""
        self._gate = gate
        self.run = run
        self.plan = plan
        self._place = place
        self._agent = agent
        self._options = options

    @property
    def spent(self) -> Spent:
        """What the planner has used so far."""
        return self._agent.ledger.spent

    async def answer(self) -> Answer:
        """Wait for the end of the run, and have the request answered from what came of it."""
        report = await self.run.wait()
        text, problem = None, ""
        if report.state == "cancelled":
            problem = "the run was cancelled"
        elif any(row.id == self._gate and row.state == "failed" for row in report.rows):
            problem = "the plan was not approved"
        else:
            try:
                text = await self._agent.answer(await self.run.graph(), report.state)
            except (PlannerError, LLMError) as error:
                problem = str(error)
        if text is not None:
            await self._place.keep_answer(self.run.id, text)
        return Answer(text, problem, self.plan.reason, report, self.spent)

    async def look_after(self, reviews: Reviews) -> None:
        """Consult the planner about results as they come, for as long as there is a run, and a budget."""
        host = _Host(self._place, self.run, self._options)
        try:
            while (batch := await reviews.next()) is not None:
                about = [star for star in batch.stars if star != self._gate]
                again = not about or await self._agent.consult(host, about)
                if not again and self._options.end_with_budget:
                    await self.run.cancel(reason="the planner's budget is used up")
                if not again:
                    await reviews.close()
                    return
                await reviews.done(batch.number)
        except (SchedulingError, ConstellationError):
            return  # the run has ended, or is somebody else's by now; whoever waits for it is told

    async def stop(self) -> None:
        """End the run, unless it has ended."""
        with anyio.move_on_after(STOPPING_S, shield=True):
            try:
                await self.run.cancel(reason="the request was withdrawn")
                await self.run.wait()
            except (SchedulingError, ConstellationError):
                return


@asynccontextmanager
async def asking(
    place: Place,
    request: str,
    *,
    model: Model | str,
    options: AskOptions | None = None,
    progress: Callable[[Remark], None] | None = None,
) -> AsyncIterator[Asking]:
    """Plan a request and start its run, which is looked after inside of the context, and cancelled when that is left.

    Args:
        place: Where it is carried out.
        request: What is wanted.
        model: Who plans, or its string.
        options: How it is to be carried out.
        progress: Shown what the planner lets be known, from the beginning.

    Raises:
        PlannerError: no plan came of it; which one says why.
        LLMError: the model does not answer, or can't be opened.
        DevicesMissing: no device is connected.
        AdmissionRefused: the devices are not any more what the plan was made for.
    """
    options = options or AskOptions()
    run_id = new_run_id()
    async with AsyncExitStack() as stack:
        if isinstance(model, str):
            model = await stack.enter_async_context(open_model(model))
        remarks = _Remarks(progress)
        agent = ConstellationAgent(
            model,
            workflow=run_id,
            budget=options.budget,
            limits=options.limits,
            capabilities=options.capabilities,
            note=remarks.take,
        )
        profiles = await place.profiles()
        if not profiles:
            raise DevicesMissing("no device is connected to plan for; start one with `constellation device`")
        plan = await agent.plan(request, survey(profiles))
        graph, gate = _with_approval(plan, request) if "plan" in options.approve else (plan.graph, None)
        run, reviews = await place.submit_for_review(
            graph,
            options.edits,
            run=run_id,
            options=RunOptions(deadline_s=options.deadline_s, review_timeout_s=REVIEW_TIMEOUT_S),
            info={"request": request, "model": model.name},
        )
        asked = Asking(place, agent, plan, run, options, gate)
        try:
            await remarks.follow(run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asked.look_after, reviews)
                yield asked
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await asked.stop()
                with anyio.move_on_after(STOPPING_S):
                    await reviews.close()


class _Remarks:
    """Takes down what the planner lets be known: until there is a run for it, in memory."""

    def __init__(self, progress: Callable[[Remark], None] | None) -> None:
        self._progress = progress
        self._early: list[Remark] = []
        self._run: Run | None = None

    async def take(self, remark: Remark) -> None:
        if self._progress is not None:
            self._progress(remark)
        if self._run is None:
            self._early.append(remark)
        else:
            await self._run.note(remark)

    async def follow(self, run: Run) -> None:
        """Have a run's journal know what there was so far, and what comes."""
        for remark in self._early:
            await run.note(remark)
        self._run = run


class _Host:
    """A run as its planner sees it; implements `EditHost`."""

    def __init__(self, place: Place, run: Run, options: AskOptions) -> None:
        self._place = place
        self._run = run
        self._options = options

    async def graph(self) -> TaskConstellation:
        return await self._run.graph()

    async def surroundings(self) -> Surroundings:
        return survey(await self._place.profiles())

    async def apply(self, batch: EditBatch) -> None:
        try:
            await self._run.edit(batch)
        except (AdmissionRefused, TooLarge) as error:
            raise EditRejected(str(error)) from error
        except HubRefused as error:
            if error.type in _REFUSED_EDIT:
                raise EditRejected(str(error)) from error
            raise

    async def ask_person(self, batch: EditBatch, problems: Sequence[str]) -> tuple[bool, str] | None:
        if "edits" not in self._options.approve and not (problems and self._options.exceptions):
            return None
        shown = {
            "reason": batch.reason,
            "changes": [_told(operation) for operation in batch.operations],
            **({"beyond what edits may do by themselves": list(problems)} if problems else {}),
        }
        question = "May the planner change the graph like this?"
        verdict = await self._run.propose(question, shown, timeout_s=self._options.limits.question_s)
        return verdict.approved, verdict.comment


def _with_approval(plan: Plan, request: str) -> tuple[TaskConstellation, str]:
    """A plan behind the question whether it may be carried out, and the star that this is."""
    graph = plan.graph.copy()
    roots = [star for star in graph if not graph.lines_into(star)]
    stars = {star: _described(graph[star], [line.source for line in graph.lines_into(star)]) for star in graph}
    id = PLAN_APPROVAL
    while id in graph:
        id += "-"
    work = Approval("Shall this plan be carried out?", {"request": request, "reason": plan.reason, "plan": stars})
    graph.star("approve the plan", work, id=id)
    for root in roots:
        graph.line(id, root)
    return graph, id


def _described(star: TaskStar, after: Sequence[str] = ()) -> str:
    """A star in a line, for a person. References are text here: those who are asked are not to wait for them."""
    work = star.work
    if isinstance(work, ToolCall):
        said = f"{work.tool} {json.dumps(dict(work.arguments), ensure_ascii=False, default=str)}"
    elif isinstance(work, Prompt):
        said = f"instruction: {work.instruction}"
    else:
        said = f"question: {work.question}" if isinstance(work, Approval) else "a nested constellation"
    where = f", on {star.device}" if star.device else ""
    return f"{said}{where}{f', after {chr(44).join(after)}' if after else ''}"


def _told(operation: object) -> str:
    if isinstance(operation, (AddStar, UpdateStar)):
        return f"{operation}: {_described(operation.star)}"
    return str(operation)
