"""A dialogue with the model: asked within the budget, its calls carried out, its mistakes told back, until it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import anyio
from anyio.lowlevel import checkpoint

from constellation_tools import ToolsError

from ..llm import (
    ChatModel,
    InvalidToolArguments,
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    ModelTimeout,
    ProviderError,
    ToolResult,
    ToolSpec,
    ToolUse,
    ToolUseDelta,
    Usage,
    WorkflowHint,
    user,
)
from .budget import Ledger, Spent
from .composing import Composer, UnknownYet
from .errors import PlanFailed
from .keeping import OLD_ANSWERS, kept, told_back
from .remarks import Note, Remark
from .settings import Limits
from .thinking import Doing, Names, Thinking, Watch, unwatched

MAX_REMARK = 4_000
"""How many characters of a remark are kept: what a model says of itself may be of any length."""

MOST_BREAKS = 2
"""How often one answer may break off on its way before that counts as a failure."""

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

    def __init__(self, model: Model, ledger: Ledger, course: Course, note: Note, *, watch: Watch = unwatched) -> None:
        self.model = model
        self.ledger = ledger
        self.course = course
        self._note = note
        self._watch = watch
        self._unnoted = Spent()

    async def ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        doing: Doing,
        remaining: float | None,
        last: bool = False,
        stars: tuple[str, ...] = (),
    ) -> ModelResponse:
        """Ask once. What was used for it is taken down before anything is done with the answer.

        An answer that breaks off is asked for again: nothing that it said was done.

        Raises:
            BudgetUsedUp, PlannerMisconfigured: the budget has nothing left, or can't be kept.
            LLMError: the model does not answer.
        """
        self.ledger.check()
        if isinstance(self.model, ChatModel):  # of others it is known when they have answered
            self.ledger.check_prices(known=await self.model.prices() is not None)
        breaks = 0
        while True:
            try:
                response = await self._once(messages, tools, doing=doing, remaining=remaining, last=last)
                break
            except ModelTimeout:
                self.ledger.check()  # where it was the budget's time that ran out, that is what is told
                raise
            except _BrokeOff as broken:
                breaks += 1
                self.ledger.check()
                if breaks == MOST_BREAKS:
                    raise broken.error from None
        await self.note(Remark("asked", "", stars))
        self._watch(Thinking(doing, answered=True, spent=self.ledger.spent))
        return response

    async def _once(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        *,
        doing: Doing,
        remaining: float | None,
        last: bool,
    ) -> ModelResponse:
        self._watch(Thinking(doing, spent=self.ledger.spent))
        left = self.ledger.tokens_left
        request = ModelRequest(
            tuple(messages),
            tools=tuple(tools),
            tool_choice="required" if tools else "auto",
            max_tokens=None if left is None else max(left, MIN_ANSWER_TOKENS),
            hint=self.course.next(remaining=remaining, last=last),
            timeout_s=self.ledger.seconds_left,
        )
        usage: Usage | None = None
        begun, names, came = anyio.current_time(), Names(), False
        try:
            async with self.model.stream(request) as stream:
                async for delta in stream:
                    came = True
                    star = names.take(delta) if isinstance(delta, ToolUseDelta) else None
                    if star:
                        self._watch(Thinking(doing, star, spent=self.ledger.spent))
            response = stream.response
            usage = response.usage
        except ProviderError as error:
            if came and error.retryable:
                raise _BrokeOff(error) from error
            raise
        finally:
            spent = Spent.of(usage or Usage(), anyio.current_time() - begun)
            if usage is None:  # no whole answer came: what is charged for that, if anything, nobody says
                spent = Spent(1, seconds=spent.seconds)
            self.ledger.take(spent)
            self._unnoted += spent
        return response

    async def note(self, remark: Remark) -> None:
        """Take a remark down, with what has been used since the last one."""
        spent, self._unnoted = self._unnoted, Spent()
        await self._note(replace(remark, text=remark.text[:MAX_REMARK], spent=spent))


class _BrokeOff(Exception):
    """An answer ended before it was whole."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


Done = Callable[[], Awaitable[str | None]]
"""Called when the model says that it has finished; returns what is wrong with that, or None."""


async def converse(
    desk: Desk,
    messages: list[Message],
    composer: Composer,
    limits: Limits,
    *,
    doing: Doing,
    done: Done,
    stars: tuple[str, ...] = (),
) -> None:
    """Let the model work until it has finished and nothing is wrong with what it has made.

    Args:
        desk: Who asks.
        messages: The conversation so far; it grows, within a bound.
        composer: What the model works on, with its tools.
        limits: How often it may try.
        doing: What is being made.
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
        remaining = 1.0 + AFTER_THE_ANSWER if left == limits.rounds else 1.0
        response = await desk.ask(messages, specs, doing=doing, remaining=remaining, stars=stars)
        messages.append(response.message)
        answer = _Answer(composer, response.message.tool_uses, limits)
        await answer.carry_out()
        if composer.finished:
            refusal = await done()
            if refusal is None:
                return
            answer.refuse_end(refusal)
        problems = answer.problems
        told = told_back(answer.results, tokens=limits.context_tokens)
        messages.append(user(*told) if told else user(problems[0]))
        messages[:] = kept(messages, tokens=OLD_ANSWERS * limits.context_tokens)
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
        await checkpoint()  # each call takes milliseconds on a large graph, and there may be many: let others work
        try:
            found = self._composer.tools.get(call.name)
            self._told[place] = str(await found.call(call.decoded()))
        except (ToolsError, InvalidToolArguments) as error:
            self._wrong[place] = str(error)[:MAX_REMARK]
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
