"""What one prompt's conversation holds, and how it is kept short enough: pure bookkeeping around `compaction.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from constellation.llm import Message, ModelResponse, Part, ToolResult, ToolUse, system, user
from constellation_tools import Tool

from . import compaction
from .commands import Outcome
from .quoting import as_text, input_name, quoted_result, task_text
from .shelf import Shelf
from .work import PromptWork

FULL = 0.8
"""The share of the model's context at which the conversation is made shorter."""

KEEP_TURNS = 3
"""How many of the last turns stay as they are."""

MIN_SUMMED_UP = 2
"""How many turns a summary replaces at least: one for each turn would cost more than it saves."""

MAX_RESULT_CHARS = 16_000
MAX_INPUT_CHARS = 40_000
"""How much of a result, and of all inputs together, is shown at most."""

RESULT_SHARE = 0.15
INPUT_SHARE = 0.3
"""The shares of the context that they may take."""

_DRASTIC_CHARS = 1_000
_SPARE_CHARS = 500


class Memory:
    """A conversation that keeps itself within a model's context."""

    def __init__(self, system_text: str, work: PromptWork, context_tokens: int | None) -> None:
        """Begin with what the model is and what it is asked.

        Args:
            system_text: The system message.
            work: The prompt.
            context_tokens: How much the model takes; None when nobody knows.
        """
        self._context_tokens = context_tokens
        self._shelf = Shelf()
        self._limit = self._share(RESULT_SHARE, MAX_RESULT_CHARS)
        for name, value in work.arguments.items():
            self._shelf.keep(input_name(name), as_text(value))
        limit = self._share(INPUT_SHARE, MAX_INPUT_CHARS) // max(len(work.arguments), 1)
        self._messages: tuple[Message, ...] = (
            system(system_text),
            user(task_text(work.instruction, work.arguments, max(limit, _SPARE_CHARS))),
        )
        self._history = list(self._messages)
        self._ids: set[str] = set()
        self._counted: tuple[int, int] | None = None
        self._overhead = 0
        self._level = 0
        self._wants_summary: int | None = None
        self.is_summing_up = False
        self.read_more: Tool[..., str] = Tool.from_function(self._shelf.read_more, blocking=False)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as it stands."""
        return self._messages

    @property
    def history(self) -> tuple[Message, ...]:
        """All that was said, also what has become part of a summary since."""
        return tuple(self._history)

    def add(self, *messages: Message) -> None:
        """Say more."""
        self._messages += messages
        self._history += messages

    def answered(self, response: ModelResponse) -> Message:
        """Take in an answer; returns it as it is remembered, with ids of calls that no other call has."""
        message = self._with_own_ids(response.message)
        usage = response.usage
        if usage.total_tokens and self._context_tokens is not None:
            self._overhead = max(usage.input_tokens - compaction.estimated_tokens(self._messages), 0)
        self.add(message)
        self._counted = (len(self._messages), usage.total_tokens) if usage.total_tokens else None
        self._level = 0
        return message

    def _with_own_ids(self, message: Message) -> Message:
        """Some servers give no ids, or the same ones in every answer."""
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolUse):
                own, number = part.id, 1
                while not own or own in self._ids:
                    number += 1
                    own = f"{part.id[:32]}_{number}"
                self._ids.add(own)
                part = replace(part, id=own)
            parts.append(part)
        return replace(message, parts=tuple(parts))

    def result_of(self, outcome: Outcome) -> ToolResult:
        """A call's result as the model is shown it."""
        return ToolResult.of(outcome.call, self.shown(outcome), is_error=outcome.is_error)

    def shown(self, outcome: Outcome) -> str:
        """What became of a call, as the model is shown it; the whole is kept."""
        self._shelf.keep(outcome.call, as_text(outcome.value))
        return quoted_result(outcome.value, self._limit, source=outcome.call)

    # --- keeping it short -------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """About how many tokens the next request takes."""
        if self._counted is None:
            return self._overhead + compaction.estimated_tokens(self._messages)
        length, tokens = self._counted
        return tokens + compaction.estimated_tokens(self._messages[length:])

    def summary_request(self) -> tuple[Message, ...] | None:
        """Make room where that is needed; returns what the model is to be asked for that, None when nothing is."""
        if self._wants_summary is None and self._is_full():
            self._replace(compaction.cut_outputs(self._messages, keep_turns=KEEP_TURNS))
            if self._is_full() and len(compaction.turns_of(self._messages)[1]) >= KEEP_TURNS + MIN_SUMMED_UP:
                self._wants_summary = KEEP_TURNS
        if self._wants_summary is None:
            return None
        asked = compaction.to_sum_up(self._messages, keep_turns=self._wants_summary)
        if not asked:
            self._wants_summary = None
            return None
        self.is_summing_up = True
        return asked

    def summed_up(self, summary: str | None) -> None:
        """Put a summary in the place of old turns; a list of calls where the model could not give one."""
        assert self._wants_summary is not None
        keep = self._wants_summary
        self._wants_summary, self.is_summing_up = None, False
        if summary:
            self._replace(compaction.with_summary(self._messages, summary, keep_turns=keep))
        else:
            self._replace(compaction.with_digest(self._messages, keep_turns=keep))

    def overflowed(self) -> bool:
        """The model says that it is too long: make it shorter, more each time; False when nothing more can be done."""
        while self._level < 4:
            self._level += 1
            before = self._messages
            match self._level:
                case 1:
                    self._replace(compaction.cut_outputs(before, keep_turns=1))
                case 2:
                    if compaction.to_sum_up(before, keep_turns=1):
                        self._wants_summary = 1
                        return True
                case 3:
                    self._replace(compaction.cut_outputs(before, keep_turns=0, to_chars=_DRASTIC_CHARS))
                case _:
                    self._replace(compaction.with_digest(before, keep_turns=0))
            if compaction.estimated_tokens(self._messages) < compaction.estimated_tokens(before):
                return True
        return False

    def _is_full(self) -> bool:
        return self._context_tokens is not None and self.tokens > FULL * self._context_tokens

    def _replace(self, messages: Sequence[Message]) -> None:
        if tuple(messages) != self._messages:
            self._messages = tuple(messages)
            self._counted = None

    def _share(self, share: float, most: int) -> int:
        if self._context_tokens is None:
            return most
        return min(most, max(int(self._context_tokens * compaction.CHARS_PER_TOKEN * share), _SPARE_CHARS))
