"""Requests: how one is to be carried out, what comes of it, and what is kept of it with its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ..graph import EditBatch, RemoveStar, StarId, TaskConstellation
from ..graph.documents import load
from ..journal import RunSummary
from ..planner import Budget, Capabilities, EditPolicy, Limits, Past, Spent
from ..scheduling import JournalEntry, RunMachine
from ..scheduling.events import RunStarted
from ..scheduling.planning_state import Account
from .errors import CannotResume
from .gathering import ASKED_KEY
from .report import RunReport


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How a request is to be carried out.

    Attributes:
        edits: After which results the planner is consulted.
        budget: What it, and the models of devices that carry out its prompts, may use.
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
        prompts: What devices' models have used for the run's prompts, as far as the devices say it.
    """

    text: str | None
    problem: str
    reason: str
    report: RunReport
    spent: Spent
    prompts: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """What is kept of a request with its run.

    Attributes:
        request: What was asked.
        model: Who planned; empty where its string opens no model.
        reason: Why the plan is as it is.
        gate: The star that asks whether the plan may be carried out, if there is one.
        devices: The devices that were there when the plan was made.
        options: How it is to be carried out.
    """

    request: str
    model: str
    reason: str
    gate: str | None
    devices: tuple[str, ...]
    options: AskOptions

    def to_json(self) -> Any:
        """As JSON values."""
        return _KEPT.dump_python(self, mode="json")

    @classmethod
    def of(cls, run: str, info: Mapping[str, Any]) -> KeptRequest:
        """What the info of a run has of its request.

        Raises:
            CannotResume: nothing, or what this release can't read.
        """
        if ASKED_KEY not in info:
            raise CannotResume(f"run {run} was not made by a planner for a request: resume it without one")
        try:
            return _KEPT.validate_python(info[ASKED_KEY])
        except ValidationError as error:
            place = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
            raise CannotResume(
                f"what is kept of the request of run {run} can't be read by this release ({place}); "
                "it can be resumed without its planner"
            ) from None


_KEPT = TypeAdapter(KeptRequest)


def policy_of(info: Mapping[str, Any]) -> EditPolicy | None:
    """After which results the planner of a run is to be consulted; None where it has none that could be asked again."""
    try:
        policy = KeptRequest.of("", info).options.edits
    except CannotResume:
        return None
    return policy if policy.when != "never" else None


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run that was made for a request, as whoever goes on with it has to know it.

    Attributes:
        run: Its id.
        state: Where it stands.
        answered: Whether its request has an answer.
        attended: Whether a planner looks after it.
        kept: The request.
        plan: What was planned, a document.
        past: What its planner has used and done.
        counted: What was counted of devices' models: star, try, and how much.
        reviewed: The stars that the planner has come to a decision about.
    """

    run: str
    state: str
    answered: bool
    attended: bool
    kept: KeptRequest
    plan: Mapping[str, Any] = field(hash=False)
    past: Past
    counted: tuple[tuple[str, str, Spent], ...]
    reviewed: tuple[str, ...]

    @classmethod
    def of(cls, summary: RunSummary, start: JournalEntry, machine: RunMachine, *, attended: bool) -> AskedRun:
        """A run by its summary, its first entry and its state; raises CannotResume."""
        assert isinstance(start.event, RunStarted)
        planning = machine.planning
        counted = tuple((str(star), text, _spent(used)) for (star, text), used in planning.prompts.items())
        past = Past(_spent(planning.spent), sum((used for _, _, used in counted), Spent()), tuple(planning.reasons))
        return cls(
            summary.run,
            machine.state,
            "answer" in summary.info,
            attended,
            KeptRequest.of(summary.run, summary.info),
            dict(start.event.graph),
            past,
            counted,
            tuple(map(str, planning.reviewed)),
        )

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state not in ("running", "paused")

    def planned(self) -> TaskConstellation:
        """The plan, without the question whether it may be carried out."""
        plan = load(self.plan)
        gate = self.kept.gate
        if gate is not None and gate in plan:
            plan.apply(EditBatch((RemoveStar(StarId(gate)),)))
        return plan


ASKED_RUN = TypeAdapter(AskedRun)
"""Reads and writes what is told of such a run."""


def _spent(account: Account) -> Spent:
    return Spent(account.calls, account.input_tokens, account.output_tokens, account.usd, account.seconds)
