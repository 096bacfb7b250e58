"""Asking: a request is planned, run, looked after while it runs, and answered; or gone on with where that broke off.

This is where the planner and the orchestrator meet, and the only file that knows what both do. The planner sees a run
through `EditHost`; the orchestrator sees somebody who looks at results in batches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import anyio

from ..graph import SETTLED, Prompt
from ..llm import LLMError, Model, ModelMisconfigured, ReplayModel, open_model
from ..planner import (
    Budget,
    BudgetUsedUp,
    ConstellationAgent,
    Plan,
    PlannerError,
    PlannerMisconfigured,
    Remark,
    Spent,
    Thinking,
)
from ..scheduling import RunOptions, SchedulingError
from .edit_host import RunHost, with_approval
from .errors import CannotResume, ConstellationError, DevicesMissing
from .gathering import ASKED_KEY
from .intake import new_run_id
from .prompt_usage import PromptUsage
from .requests import Answer, AskedRun, AskOptions, KeptRequest
from .reviewing import Place, Reviews
from .run import Run
from .surveying import survey

__all__ = ["Answer", "AskOptions", "Asking", "Progress", "answer_ended", "asking", "resume_asking"]

REVIEW_TIMEOUT_S = 7_200.0
"""How long results may be looked at: a person may be asked meanwhile, who is given an hour."""

STOPPING_S = 15.0
"""How long the end of a run that is cancelled is waited for."""

Progress = Callable[[Remark | Thinking], None]
"""Is shown what a planner lets be known, and how its model gets on."""


class Asking:
    """A request that is being carried out.

    Attributes:
        run: The run.
        plan: What was planned.
    """

    def __init__(
        self,
        place: Place,
        agent: ConstellationAgent,
        plan: Plan,
        run: Run,
        options: AskOptions,
        gate: str | None,
        *,
        usage: PromptUsage | None = None,
        reviewed: Iterable[str] = (),
    ) -> None:
        """Not for direct use; see `asking`."""
        self._gate = gate
        self.run = run
        self.plan = plan
        self._place = place
        self._agent = agent
        self._options = options
        self._usage = usage or PromptUsage()
        self._reviewed = set(reviewed)
        self._counted = anyio.Event()

    @property
    def spent(self) -> Spent:
        """What the planner has used so far."""
        return self._agent.ledger.spent

    async def answer(self) -> Answer:
        """Wait for the end of the run, and have the request answered from what came of it."""
        report = await self.run.wait()
        await self._counted.wait()  # what prompts have used is known before the budget is looked at once more
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
        ledger = self._agent.ledger
        return Answer(text, problem, self.plan.reason, report, ledger.spent, ledger.prompts)

    async def look_after(self, reviews: Reviews) -> None:
        """Consult the planner about results as they come, for as long as there is a run, and a budget."""
        host = RunHost(self._place, self.run, self._options)
        try:
            while (batch := await reviews.next()) is not None:
                about = [star for star in batch.stars if star != self._gate and star not in self._reviewed]
                self._reviewed.difference_update(batch.stars)
                again = not about or await self._agent.consult(host, about)
                if not again and self._options.end_with_budget:
                    await self.run.cancel(reason="the planner's budget is used up")
                if not again:
                    break
                await reviews.done(batch.number)
        except (SchedulingError, ConstellationError):
            pass  # the run has ended, or is somebody else's by now; whoever waits for it is told
        await reviews.close()

    async def count_prompts(self) -> None:
        """Count what devices' models use; when nothing is left for them, what they have not done is cancelled."""
        try:
            exhausted = False
            async for event in self.run.events():
                used = self._usage.take(event)
                if used is None:
                    continue
                await self._agent.count_prompt(*used)
                if not exhausted and (reason := self._nothing_left()) is not None:
                    exhausted = True
                    await self._cancel_prompts(reason)
        except (SchedulingError, ConstellationError):
            pass  # as above
        finally:
            self._counted.set()

    def _nothing_left(self) -> str | None:
        """Why devices' models may not be used any more, None while they may."""
        try:
            self._agent.ledger.check()
        except BudgetUsedUp as error:
            return str(error) if error.what in ("tokens", "money") else None
        except PlannerMisconfigured as error:
            return str(error)
        return None

    async def _cancel_prompts(self, reason: str) -> None:
        graph = await self.run.graph()
        for star in reversed(graph.in_order()):
            if isinstance(graph[star].work, Prompt) and graph.state(star) not in SETTLED:
                await self.run.cancel(star, reason=reason)

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
    progress: Progress | None = None,
) -> AsyncIterator[Asking]:
    """Plan a request and start its run, which is looked after inside of the context, and cancelled when that is left.

    Args:
        place: Where it is carried out.
        request: What is wanted.
        model: Who plans, or its string.
        options: How it is to be carried out.
        progress: Shown what the planner lets be known, and how its model gets on, from the beginning.

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
        agent = _agent(model, run_id, options, remarks)
        profiles = await place.profiles()
        if not profiles:
            raise DevicesMissing("no device is connected to plan for; start one with `constellation device`")
        surroundings = survey(profiles)
        plan = await agent.plan(request, surroundings)
        graph, gate = with_approval(plan, request) if "plan" in options.approve else (plan.graph, None)
        opens = "" if isinstance(model, ReplayModel) else model.name
        kept = KeptRequest(request, opens, plan.reason, gate, surroundings.device_names, options)
        run, reviews = await place.submit_for_review(
            graph,
            options.edits,
            run=run_id,
            options=RunOptions(deadline_s=options.deadline_s, review_timeout_s=REVIEW_TIMEOUT_S),
            info={"request": request, "model": model.name, ASKED_KEY: kept.to_json()},
            remarks=remarks.early,
        )
        remarks.run = run
        async with _looked_after(Asking(place, agent, plan, run, options, gate), reviews) as asked:
            yield asked


@asynccontextmanager
async def resume_asking(
    place: Place,
    run: str,
    *,
    model: Model | str | None = None,
    budget: Budget | None = None,
    exceptions: bool | None = None,
    rerun_unknown: bool = False,
    progress: Progress | None = None,
) -> AsyncIterator[Asking]:
    """Go on with a request whose process is gone, as `asking` would have: the run has its planner again.

    Args:
        place: Where its run is, or can be brought back.
        run: The run's id, or the beginning of it.
        model: Who plans from now on, or its string; the one that has planned so far when None.
        budget: What may be used in all, what was used already included; as before when None.
        exceptions: Whether a person is asked about edits that the capabilities do not permit; as before when None.
        rerun_unknown: As for `Orchestrator.resume`.
        progress: Shown what the planner lets be known, and how its model gets on.

    Raises:
        CannotResume: the run was not made for a request, has ended, is looked after already, or no model is known.
        LLMError: the model can't be opened.
        RunNotFound, AmbiguousRun: there is no such run.
    """
    known = await place.asked(run)
    if known.ended:
        raise CannotResume(f"run {known.run} has {known.state} already; `resume_ask` has its request answered")
    options = known.kept.options
    if budget is not None:
        options = replace(options, budget=budget)
    if exceptions is not None:
        options = replace(options, exceptions=exceptions)
    async with AsyncExitStack() as stack:
        model = await _opened(stack, known, model)
        remarks = _Remarks(progress)
        agent = _agent(model, known.run, options, remarks, known)
        going_on, reviews = await place.resume_for_review(known.run, options.edits, rerun_unknown=rerun_unknown)
        remarks.run = going_on
        plan = Plan(known.planned(), known.kept.reason)
        usage = PromptUsage(known.counted)
        asked = Asking(place, agent, plan, going_on, options, known.kept.gate, usage=usage, reviewed=known.reviewed)
        async with _looked_after(asked, reviews):
            yield asked


async def answer_ended(
    place: Place,
    known: AskedRun,
    *,
    model: Model | str | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Have the request of a run that has ended answered from what came of it; see `resume_asking` for the arguments.

    Raises:
        CannotResume: it has an answer, or can't have one, or no model is known.
        LLMError: the model can't be opened.
    """
    kept = known.kept
    if known.answered:
        raise CannotResume(f"run {known.run} has its answer already; see it with `constellation story {known.run}`")
    if known.state == "cancelled":
        raise CannotResume(f"run {known.run} was cancelled, so there is nothing to answer its request from")
    options = kept.options if budget is None else replace(kept.options, budget=budget)
    async with AsyncExitStack() as stack:
        model = await _opened(stack, known, model)
        agent = _agent(model, known.run, options, _Remarks(progress), known)
        graph, report = await place.show(known.run)
        text, problem = None, ""
        if any(row.id == kept.gate and row.state == "failed" for row in report.rows):
            problem = "the plan was not approved"
        else:
            try:
                text = await agent.answer(graph, report.state)
            except (PlannerError, LLMError) as error:
                problem = str(error)
        if text is not None:
            await place.keep_answer(known.run, text)
        return Answer(text, problem, kept.reason, report, agent.ledger.spent, agent.ledger.prompts)


@asynccontextmanager
async def _looked_after(asked: Asking, reviews: Reviews) -> AsyncIterator[Asking]:
    """Look after a run for as long as the context lasts, and end it then."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked.look_after, reviews)
            tasks.start_soon(asked.count_prompts)
            yield asked
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await asked.stop()
            with anyio.move_on_after(STOPPING_S):
                await reviews.close()


def _agent(
    model: Model, run: str, options: AskOptions, remarks: _Remarks, known: AskedRun | None = None
) -> ConstellationAgent:
    agent = ConstellationAgent(
        model,
        workflow=run,
        budget=options.budget,
        limits=options.limits,
        capabilities=options.capabilities,
        note=remarks.take,
        watch=remarks.watch,
        past=known.past if known is not None else None,
    )
    if known is not None:
        agent.begin(known.kept.request, known.planned(), known.kept.devices)
    return agent


async def _opened(stack: AsyncExitStack, known: AskedRun, model: Model | str | None) -> Model:
    """The model that is to go on; raises CannotResume, ModelMisconfigured when there is none that can be opened."""
    if model is not None and not isinstance(model, str):
        return model
    text = model or known.kept.model
    if not text:
        raise CannotResume(
            f"run {known.run} was planned from a recording, which can't go on: say which model is to (--model MODEL)"
        )
    try:
        return await stack.enter_async_context(open_model(text))
    except ModelMisconfigured as error:
        if model is not None:
            raise
        raise CannotResume(
            f"run {known.run} was planned by {text!r}, which can't be opened here ({error}); mend that, or say which "
            "model is to go on (--model MODEL)"
        ) from error


class _Remarks:
    """Takes down what the planner lets be known: until there is a run for it, in memory.

    Attributes:
        early: What there was before the run.
        run: The run, once there is one.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.early: list[Remark] = []
        self.run: Run | None = None

    async def take(self, remark: Remark) -> None:
        self.watch(remark)
        if self.run is None:
            self.early.append(remark)
        else:
            await self.run.note(remark)

    def watch(self, shown: Remark | Thinking) -> None:
        if self._progress is not None:
            self._progress(shown)
