"""The agent loop: what happens next with a prompt. It does no I/O, reads no clock, and knows no provider.

    begin ──► Ask ──► answered ──┬─► RunCalls ──► returned ──► Ask … ──► Finish
               ▲                 ├─► AwaitResults ──► arrived ──► Ask
               │                 └─► Ask, to have an answer repaired or after a summary
               └───── failed, when it helps to make the conversation shorter; else Fail

Each event gives one command; whoever carries it out tells the event that follows. Times are seconds on any one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from constellation.llm import (
    ContextOverflow,
    InvalidOutput,
    InvalidToolArguments,
    LLMError,
    Message,
    ModelRequest,
    ModelResponse,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
    assistant,
    user,
)
from constellation_tools import ToolsError

from . import wording
from .answers import Answering
from .commands import Ask, AwaitResults, Command, Fail, Finish, Outcome, RunCalls
from .hinting import Hinting
from .limits import AgentLimits, Spent
from .memory import Memory
from .pauses import PauseBook
from .quoting import fenced
from .work import PromptWork

LIMIT_REACHED = "AgentLimitReached"
"""Error type of a prompt that has used up what it may."""

NO_ANSWER = "NoAnswer"
"""Error type of a prompt whose model gives no answer that can be used."""

MAX_REPAIRS = 3
"""How often in a row the model may give an answer that can't be used."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a device's agent works.

    Attributes:
        instructions: What the device's owner tells the model.
        context_tokens: How long a conversation the model takes; None to make it shorter only when the model says so.
        limits: What a prompt may use up.
    """

    instructions: str = ""
    context_tokens: int | None = None
    limits: AgentLimits = field(default_factory=AgentLimits)


class AgentLoop:
    """One prompt on its way to its output.

    Attributes:
        spent: What it has used so far.
    """

    def __init__(
        self, work: PromptWork, *, tools: Sequence[ToolSpec], settings: LoopSettings, pauses: PauseBook, now: float
    ) -> None:
        """Prepare to begin.

        Args:
            work: What is to be done.
            tools: The device's tools as the model is told of them.
            settings: How the device's agent works.
            pauses: What the device has learned of its tools; is taught more.
            now: The time.

        Raises:
            InvalidRequest: the schema of its output is none.
        """
        self._answering = Answering(work.output)
        system_text = wording.system_text(settings.instructions, structured=self._answering.type is not None)
        self._memory = Memory(system_text, work, settings.context_tokens)
        self._hinting = Hinting(work, pauses, began=now)
        self._tools = (*tools, ToolSpec.of(self._memory.read_more), *self._answering.tools)
        self._uses: Sequence[ToolUse] = ()
        self._results: dict[str, ToolResult] = {}
        self._repairs = 0
        self._last = False
        self.spent = Spent(settings.limits, began=now)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as it stands."""
        return self._memory.messages

    @property
    def history(self) -> tuple[Message, ...]:
        """All that was said, also what has become part of a summary since."""
        return self._memory.history

    # --- events -----------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> Command:
        """Start."""
        return self._ask(now)

    def answered(self, response: ModelResponse, now: float, *, running: int) -> Command:
        """The model has answered, while so many calls go on."""
        self.spent.add(response.usage)
        if self._memory.is_summing_up:
            self._memory.summed_up(response.text)
            return self._ask(now)
        message = self._memory.answered(response)
        if response.finish_reason == "refused":
            return Fail(NO_ANSWER, f"the model refuses: {response.text[:500] or 'it does not say why'}")
        uses = message.tool_uses
        if uses and not self._last:
            return self._take_calls(uses, now, running)
        if response.finish_reason == "length":
            return self._repair(wording.CUT_OFF, now)
        if uses or not response.text.strip():
            return self._repair(wording.SAID_NOTHING, now)
        try:
            output = self._answering.of_text(response.text)
        except InvalidOutput as error:
            return self._repair(wording.misfit(str(error)), now)
        return AwaitResults() if running and not self._last else self._finish(output)

    def failed(self, error: LLMError, now: float) -> Command:
        """The model has not answered, or not as it was asked to."""
        if isinstance(error, InvalidOutput):
            self.spent.add(error.usage or Usage())
            self._memory.add(assistant(error.text))
            return self._repair(wording.misfit(str(error)), now)
        if isinstance(error, ContextOverflow):
            if self._memory.is_summing_up:
                self._memory.summed_up(None)
                return self._ask(now)
            if self._memory.overflowed():
                return self._ask(now)
        return Fail(type(error).__name__, f"the model did not answer: {error}")

    def returned(self, outcomes: Sequence[Outcome], now: float, *, arrived: Sequence[Outcome] = ()) -> Command:
        """Each call that was to be run has ended, or goes on and has a handle; meanwhile others have `arrived`."""
        for outcome in outcomes:
            self._results[outcome.call] = self._memory.result_of(outcome)
        self._hinting.returned(outcomes)
        self._close_turn()
        self._deliver(arrived)
        return self._ask(now)

    def arrived(self, outcomes: Sequence[Outcome], now: float) -> Command:
        """The calls that an answer did not wait for have ended."""
        self._deliver(outcomes)
        self._memory.add(user(wording.STILL_RUNNING))
        return self._ask(now)

    # --- what follows -----------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> Command:
        reached = self.spent.exceeded(now)
        if reached is not None:
            return Fail(LIMIT_REACHED, f"the prompt was ended: {reached}")
        last = self._last or self.spent.is_last_step(now)
        summary = None if last else self._memory.summary_request()
        if last and not self._last:
            self._last = True
            self._memory.add(user(wording.LAST_STEP))
        step = self.spent.steps
        self.spent.steps += 1
        request = ModelRequest(
            self._memory.messages if summary is None else summary,
            tools=self._tools,
            tool_choice="none" if last or summary is not None else "auto",
            output=self._answering.type if last else None,
            hint=self._hinting.hint(step, now, last=last),
        )
        return Ask(request, step, "last step" if last else "step" if summary is None else "summary")

    def _take_calls(self, uses: Sequence[ToolUse], now: float, running: int) -> Command:
        """Answer what the model wants of its own tools, and have all else run."""
        self._uses, self._results = uses, {}
        elsewhere: list[ToolUse] = []
        too_early = False
        for use in uses:
            if not self._answering.takes(use):
                if use.name == self._memory.read_more.name:
                    self._results[use.id] = self._read_more(use)
                else:
                    elsewhere.append(use)
                continue
            try:
                output = self._answering.of_call(use)
            except InvalidOutput as error:
                self._results[use.id] = ToolResult.of(use.id, wording.misfit(str(error)), is_error=True)
                continue
            if not running:
                return self._finish(output)
            self._results[use.id] = ToolResult.of(use.id, wording.NOT_TAKEN, is_error=True)
            too_early = True
        self._repairs = 0
        self._hinting.called(elsewhere, now)
        if elsewhere:
            return RunCalls(tuple(elsewhere))
        self._close_turn()
        return AwaitResults() if too_early else self._ask(now)

    def _read_more(self, use: ToolUse) -> ToolResult:
        try:
            text = self._memory.read_more.call_sync(use.decoded())
        except (InvalidToolArguments, ToolsError) as error:
            return ToolResult.of(use.id, str(error), is_error=True)
        return ToolResult.of(use.id, fenced(text))

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            shown = [f"{each.handle} ({each.tool}): {self._memory.shown(each)}" for each in outcomes]
            self._memory.add(user("\n".join([wording.ARRIVED, *shown])))

    def _close_turn(self) -> None:
        """Say the results, in the order of the calls."""
        self._memory.add(user(*(self._results[use.id] for use in self._uses)))

    def _repair(self, problem: str, now: float) -> Command:
        self._repairs += 1
        if self._repairs > MAX_REPAIRS:
            return Fail(NO_ANSWER, f"the model gave no usable answer {self._repairs} times in a row: {problem}")
        # Calls that are not carried out any more have results all the same: no provider takes a call without one.
        uses = self._memory.messages[-1].tool_uses
        told = tuple(ToolResult.of(use.id, problem, is_error=True) for use in uses) or (problem,)
        self._memory.add(user(*told))
        return self._ask(now)

    def _finish(self, output: object) -> Command:
        self._hinting.ended(self.spent.steps)
        return Finish(output)
