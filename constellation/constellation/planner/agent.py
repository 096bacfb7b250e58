"""The ConstellationAgent: a model that turns a request into a plan, looks after it while it runs, and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..graph import EditBatch, EditRejected, TaskConstellation, ToolCall
from ..graph.star import slug
from ..llm import LLMError, Model, user
from .budget import Budget, Ledger, Spent
from .capabilities import Baseline, Capabilities, violations
from .dialogue import Course, Desk, converse
from .drafting import Draft
from .editing import Edit
from .errors import BudgetUsedUp, NothingAnswered, PlanFailed, PlannerMisconfigured
from .fencing import Fence, secrets_of
from .prompts import ANSWER, CREATE, EDIT, standing
from .remarks import Note, Remark
from .settings import Limits
from .surroundings import Surroundings
from .thinking import Watch, unwatched
from .view import View

_NAME_WORDS = 6
_RECENT = 5
"""How many of its own edits the planner is reminded of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What came of a request.

    Attributes:
        graph: The plan.
        reason: Why it is as it is, in the model's words.
    """

    graph: TaskConstellation
    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """What a planner has done for a run in an earlier process.

    Attributes:
        spent: What it has used.
        prompts: What devices' models have used for the run's prompts.
        reasons: Why it made its last edits.
    """

    spent: Spent = field(default_factory=Spent)
    prompts: Spent = field(default_factory=Spent)
    reasons: tuple[str, ...] = ()


class EditHost(Protocol):
    """A run that a planner looks after."""

    async def graph(self) -> TaskConstellation:
        """A copy of its graph as it is now."""

    async def surroundings(self) -> Surroundings:
        """The devices that it may use."""

    async def apply(self, batch: EditBatch) -> None:
        """Apply an edit; raises EditRejected, or what else the run refuses it with."""

    async def ask_person(self, batch: EditBatch, problems: Sequence[str]) -> tuple[bool, str] | None:
        """Ask a person about an edit that the policy has problems with, or that is to be asked about in any case.

        Returns:
            Whether it is allowed, and what was said; None when nobody is asked about this.
        """


async def _ignore(remark: Remark) -> None:
    """Take no remark down."""


class ConstellationAgent:
    """A planner of one run. Its calls of the model are one session.

    Attributes:
        capabilities: What edits may do by themselves.
        limits: How much it may make.
        ledger: What it may use, and has used.
        baseline: What the plan was, by which edits are judged.
        request: What was asked.
    """

    def __init__(
        self,
        model: Model,
        *,
        workflow: str = "plan",
        budget: Budget | None = None,
        limits: Limits | None = None,
        capabilities: Capabilities | None = None,
        secrets: Iterable[str] | None = None,
        note: Note = _ignore,
        watch: Watch = unwatched,
        past: Past | None = None,
    ) -> None:
        """Make a planner.

        Args:
            model: Who plans.
            workflow: The run's id, for hints to the model's server.
            budget: What it may use; 60 calls when None.
            limits: How much it may make.
            capabilities: What edits may do besides what they always may.
            secrets: What must never be in a prompt; keys, tokens and passwords of the environment when None.
            note: Takes down what it lets be known.
            watch: Is shown how the model gets on.
            past: What an earlier process has done, which this one goes on from.
        """
        self.limits = limits or Limits()
        self.capabilities = capabilities or Capabilities()
        past = past or Past()
        self.ledger = Ledger(budget or Budget(), past.spent, past.prompts)
        self.baseline = Baseline()
        self.request = ""
        self._fence = Fence(secrets_of() if secrets is None else secrets)
        self._view = View(self._fence, tokens=self.limits.context_tokens)
        self._note = note
        self._desk = Desk(model, self.ledger, Course(workflow, past.spent.calls), note, watch=watch)
        self._recent = [self._fence.text(reason, tokens=200) for reason in past.reasons][-_RECENT:]

    # --- create ------------------------------------------------------------------------------------------------------

    async def plan(self, request: str, surroundings: Surroundings, *, name: str = "") -> Plan:
        """Make a plan of a request.

        Raises:
            PlanFailed: the model did not come to one that the devices can carry out.
            BudgetUsedUp: the budget was used up before.
            LLMError: the model does not answer.
        """
        draft = Draft(name or name_of(request), request, surroundings, self.limits, self._fence)
        described = surroundings.described(self._fence, tokens=self.limits.context_tokens)
        messages = [standing(CREATE), user(f"{described}\n\nThe request:\n{request}")]

        async def done() -> str | None:
            problems = surroundings.check([draft.graph[star] for star in draft.graph])
            if not problems:
                return None
            draft.reason = None
            return self._fence.text("; ".join(problems), tokens=800)

        await converse(self._desk, messages, draft, self.limits, doing="plan", done=done)
        self.begin(request, draft.graph, surroundings.device_names)
        await self._desk.note(Remark("planned", draft.reason or ""))
        return Plan(draft.graph, draft.reason or "")

    def begin(self, request: str, plan: TaskConstellation, devices: Iterable[str]) -> None:
        """Look after a plan from now on, be it made here or not; edits are judged by it."""
        self.request = request
        self.baseline = Baseline.of(plan, devices)

    # --- edit --------------------------------------------------------------------------------------------------------

    async def consult(self, host: EditHost, stars: Sequence[str]) -> bool:
        """Look at results that have come in, and edit what has not begun, or leave it.

        Whatever goes wrong is noted, and changes nothing.

        Returns:
            Whether the planner can be consulted again; False when its budget is used up.

        Raises:
            Exception: what the host raises when the run can't be edited any more.
        """
        about = tuple(stars)
        try:
            await self._consult(host, about)
        except BudgetUsedUp as error:
            await self._desk.note(Remark("gave_up", f"{error}; the run goes on without the planner", about))
            return False
        except PlannerMisconfigured as error:
            await self._desk.note(Remark("gave_up", str(error), about))
            return False
        except (PlanFailed, LLMError) as error:
            await self._desk.note(Remark("gave_up", self._fence.text(f"{error}", tokens=400), about))
        return True

    async def _consult(self, host: EditHost, stars: tuple[str, ...]) -> None:
        self.ledger.check()
        graph = await host.graph()
        known = tuple(star for star in stars if star in graph)
        surroundings = await host.surroundings()
        edit = Edit(graph, surroundings, self.limits, self._fence, self._view)
        recent = "".join(f"\n- {reason}" for reason in self._recent)
        said = [
            self._relevant(graph, surroundings).described(self._fence, tokens=self.limits.context_tokens),
            f"The request:\n{self.request}",
            *([f"Your last edits were for these reasons:{recent}"] if recent else []),
            self._view.results(graph, known),
        ]
        messages = [standing(EDIT), user("\n\n".join(said))]

        async def done() -> str | None:
            return None if edit.left else await self._try(host, edit, known)

        await converse(self._desk, messages, edit, self.limits, doing="edit", done=done, stars=known)
        reason = self._fence.text(edit.reason or "", tokens=200)
        if edit.left:
            await self._desk.note(Remark("left", reason, known))
        else:
            self._recent = [*self._recent[1 - _RECENT :], reason]
            await self._desk.note(Remark("edited", reason, known))

    def _relevant(self, graph: TaskConstellation, surroundings: Surroundings) -> Surroundings:
        """The devices with those tools that an edit may use without further ado: the graph's, and the allowed ones."""
        used = {work.tool for star in graph if isinstance(work := graph[star].work, ToolCall)}
        tools = [tool for tool in surroundings.tools if tool.name in used or self.capabilities.allows_tool(tool.name)]
        return replace(surroundings, tools=tuple(tools))

    async def _try(self, host: EditHost, edit: Edit, stars: tuple[str, ...]) -> str | None:
        """Apply what the model wants, if policy, person and graph let it; returns what is against it."""
        batch = edit.batch
        problems = violations(edit.before, batch, self.baseline, self.capabilities)
        verdict = await host.ask_person(batch, problems)
        refusal = None
        if verdict is None and problems:
            refusal = f"the policy does not let edits do this by themselves: {'; '.join(problems)}"
        elif verdict is not None and not verdict[0]:
            refusal = f"a person has said no{': ' + verdict[1] if verdict[1] else ''}"
        if refusal is not None:
            await self._desk.note(Remark("refused", refusal, stars))
            edit.begin_again(await host.graph())
            return (
                f"{self._fence.text(refusal, tokens=400)}. Do what may be done, or leave it; nothing is changed so far"
            )
        try:
            await host.apply(batch)
        except EditRejected as error:
            refusal = self._fence.text(str(error), tokens=400)
            await self._desk.note(Remark("refused", refusal, stars))
            graph = await host.graph()
            edit.begin_again(graph)
            now = self._view.details(graph, [star for star in stars if star in graph])
            return f"the graph has not taken it: {refusal}. Make the edit again on the graph as it is now:\n{now}"
        return None

    async def count_prompt(self, star: str, attempt: int, used: Spent) -> None:
        """Count what a device's model has used for a star, in one of its tries."""
        self.ledger.take_prompt(used)
        await self._note(Remark("prompted", f"try {attempt}", (star,), used))

    # --- answer ------------------------------------------------------------------------------------------------------

    async def answer(self, graph: TaskConstellation, state: str) -> str:
        """Answer the request from what has come of the run; the last step of the session.

        Raises:
            BudgetUsedUp: the budget is used up.
            NothingAnswered: the model has said nothing.
            LLMError: the model does not answer.
        """
        results = self._view.outcomes(graph)
        messages = [standing(ANSWER), user(f"The request:\n{self.request}\n\nThe run has {state}.\n{results}")]
        response = await self._desk.ask(messages, doing="answer", remaining=0.0, last=True)
        text = response.text.strip()
        if not text:
            raise NothingAnswered(f"the model's answer has no text (it ended with {response.finish_reason!r})")
        return text


def name_of(request: str) -> str:
    """A short name for a run of a request."""
    words = slug(" ".join(request.split()[:_NAME_WORDS]))
    return words[:60] or "request"
