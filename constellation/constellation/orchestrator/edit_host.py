"""A run as its planner sees it, and what people are shown of plans and edits."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
from ..planner import Plan, Surroundings
from .errors import AdmissionRefused, HubRefused, TooLarge
from .requests import AskOptions
from .reviewing import Place
from .run import Run
from .surveying import survey

PLAN_APPROVAL = "approve-plan"

_REFUSED_EDIT = ("EditRejected", "EditConflict", "CycleRejected", "AdmissionRefused", "TooLarge", "BadRequest")
"""What a hub says when an edit does not fit."""


class RunHost:
    """A run as its planner sees it; implements `EditHost`."""

    def __init__(self, place: Place, run: Run, options: AskOptions) -> None:
        self._place = place
        self._run = run
        self._options = options

    async def graph(self) -> TaskConstellation:
        """See `EditHost.graph`."""
        return await self._run.graph()

    async def surroundings(self) -> Surroundings:
        """See `EditHost.surroundings`."""
        return survey(await self._place.profiles())

    async def apply(self, batch: EditBatch) -> None:
        """See `EditHost.apply`."""
        try:
            await self._run.edit(batch)
        except (AdmissionRefused, TooLarge) as error:
            raise EditRejected(str(error)) from error
        except HubRefused as error:
            if error.type in _REFUSED_EDIT:
                raise EditRejected(str(error)) from error
            raise

    async def ask_person(self, batch: EditBatch, problems: Sequence[str]) -> tuple[bool, str] | None:
        """See `EditHost.ask_person`."""
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


def with_approval(plan: Plan, request: str) -> tuple[TaskConstellation, str]:
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
