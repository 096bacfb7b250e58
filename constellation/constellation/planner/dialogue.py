"""A dialogue with the model: asked within the budget, its calls carried out, its mistakes told back, until it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from constellation_tools import ToolsError

from ..llm import (
    InvalidOutput,
    InvalidToolArguments,
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    ModelTimeout,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
    WorkflowHint,
    user,
)
from .budget import Ledger, Spent
from .composing import Composer, UnknownYet
from .errors import PlanFailed
from .remarks import Note, Remark
from .settings import Limits

MIN_ANSWER_TOKENS = 256
"""The shortest answer that is worth asking for, in tokens."""

AFTER_THE_ANSWER = 1.0
"""How many steps of a session are expected after a plan that has no edits: the answer."""


@dataclass(slots=True)
class Course:
    """Where a run's conversation with the model is, for hints to its server.

    Attributes:
        workflow: The run.
        step: The next request's number.
    """

    workflow: str
    step: int = 0

    def next(self, *, remaining: float | None, last: bool = False) -> WorkflowHint:
        """The hint of the next request."""
        hint = WorkflowHint(
            self.workflow,
            session=f"{self.workflow}/planner",
            step=self.step,
            remaining_steps=remaining,
            last_step=last,
        )
        self.step += 1
        return hint


class Desk:
    """Asks the model, within the budget, and keeps the account.

    Attributes:
        model: Who is asked.
        ledger: What may be used, and has been.
        course: Where the session is.
    """

    def __init__(self, model: Model, ledger: Ledger, course: Course, note: Note) -> None:
        self.model = model
        self.ledger = ledger
        self.course = course
        self._note = note
        self._unnoted = Spent()

    async def ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        remaining: float | None,
        last: bool = False,
    ) -> ModelResponse:
        """Ask once.

        Raises:
            BudgetUsedUp, PlannerMisconfigured: the budget has nothing left, or can't be kept.
            LLMError: the model does not answer.
        """
        self.ledger.check()
        left = self.ledger.tokens_left
        request = ModelRequest(
            tuple(messages),
            tools=tuple(tools),
            tool_choice="required" if tools else "auto",
            max_tokens=None if left is None else max(left, MIN_ANSWER_TOKENS),
            hint=self.course.next(remaining=remaining, last=last),
            timeout_s=self.ledger.seconds_left,
        )
        try:
            return await self._ask(request)
        except ModelTimeout:
            if self.ledger.seconds_left == 0.0:
                self.ledger.check()  # it was the budget's time that ran out, so that is what is told
            raise

    async def _ask(self, request: ModelRequest) -> ModelResponse:
        """Ask, and keep the account of it however it ends."""
        usage: Usage | None = None
        begun = anyio.current_time()
        try:
            response = await self.model.respond(request)
            usage = response.usage
        except InvalidOutput as error:
            usage = error.usage
            raise
        finally:
            spent = Spent.of(usage or Usage(), anyio.current_time() - begun)
            if usage is None:  # nothing came, and nothing is charged for that
                spent = Spent(1, seconds=spent.seconds)
            self.ledger.take(spent)
            self._unnoted += spent
        return response

    async def note(self, remark: Remark) -> None:
        """Take a remark down, with what has been used since the last one."""
        spent, self._unnoted = self._unnoted, Spent()
        await self._note(replace(remark, spent=spent))


Done = Callable[[], Awaitable[str | None]]
"""Called when the model says that it has finished; returns what is wrong with that, or None."""


async def converse(
    desk: Desk, messages: list[Message], composer: Composer, limits: Limits, *, done: Done, stars: tuple[str, ...] = ()
) -> None:
    """Let the model work until it has finished and nothing is wrong with what it has made.

    Args:
        desk: Who asks.
        messages: The conversation so far; it grows.
        composer: What the model works on, with its tools.
        limits: How often it may try.
        done: Sees whether what was finished can be taken.
        stars: What it is about, for remarks.

    Raises:
        PlanFailed: it has not finished in the rounds that it has.
        BudgetUsedUp, LLMError: it can't be asked.
    """
    mistaken = 0
    problems: list[str] = []
    specs = [ToolSpec.of(tool) for tool in composer.tools]
    for left in range(limits.rounds, 0, -1):
        response = await desk.ask(messages, specs, remaining=1.0 + AFTER_THE_ANSWER if left == limits.rounds else 1.0)
        messages.append(response.message)
        answer = _Answer(composer, response.message.tool_uses, limits)
        await answer.carry_out()
        if composer.finished:
            refusal = await done()
            if refusal is None:
                return
            answer.refuse_end(refusal)
        problems = answer.problems
        messages.append(user(*answer.results) if answer.results else user(problems[0]))
        for problem in problems:
            await desk.note(Remark("mistake", problem, stars))
        mistaken += bool(problems)
        if mistaken > limits.repairs:
            message = f"the model has made mistakes in {mistaken} answers, and {limits.repairs} are allowed"
            raise PlanFailed(message, problems)
    raise PlanFailed(f"the model has not finished within {limits.rounds} answers", problems)


class _Answer:
    """The calls of one answer, carried out together: they may name one another's stars in any order."""

    def __init__(self, composer: Composer, calls: Sequence[ToolUse], limits: Limits) -> None:
        self._composer = composer
        self._calls = calls
        self._most = limits.calls
        self._told: dict[int, str] = {}
        self._wrong: dict[int, str] = {}
        self._end: int | None = None

    @property
    def results(self) -> list[ToolResult]:
        """A result for each call."""
        return [
            ToolResult.of(call.id, self._wrong.get(place) or self._told[place], is_error=place in self._wrong)
            for place, call in enumerate(self._calls)
        ]

    @property
    def problems(self) -> list[str]:
        """What is wrong, call by call."""
        if not self._calls:
            return ["the answer has no call: go on with the tools, and say with one of them when you have finished"]
        return [f"{self._calls[place].name}: {problem}" for place, problem in sorted(self._wrong.items())]

    async def carry_out(self) -> None:
        """Carry the calls out; one that ends the work counts only when nothing is wrong with the others."""
        numbered = list(enumerate(self._calls))
        waiting = [(place, call) for place, call in numbered[: self._most] if call.name not in self._composer.ends]
        while waiting:
            again = [(place, call) for place, call in waiting if await self._try(place, call)]
            if len(again) == len(waiting):
                break
            waiting = again
        for place, _ in numbered[self._most :]:
            self._wrong[place] = f"only {self._most} calls of one answer are carried out; make this one again"
        mistakes = len(self._wrong)
        for place, call in numbered[: self._most]:
            if call.name in self._composer.ends:
                await self._try_end(place, call, mistakes)

    def refuse_end(self, refusal: str) -> None:
        """Say why what was finished is not taken."""
        assert self._end is not None
        self._wrong[self._end] = refusal

    async def _try(self, place: int, call: ToolUse) -> bool:
        """Carry a call out; returns whether a later call of the answer may mend what is wrong with it."""
        try:
            found = self._composer.tools.get(call.name)
            self._told[place] = str(await found.call(call.decoded()))
        except (ToolsError, InvalidToolArguments) as error:
            self._wrong[place] = str(error)
            return isinstance(error, UnknownYet)
        self._wrong.pop(place, None)
        return False

    async def _try_end(self, place: int, call: ToolUse, mistakes: int) -> None:
        if mistakes:
            self._wrong[place] = "it does not count, for another call of this answer did not fit: mend that first"
        elif self._end is not None:
            self._told[place] = "it is finished already"
        else:
            await self._try(place, call)
            if self._composer.finished:
                self._end = place
