"""Answers as Chat Completions has them, whole or in chunks, become ours. What servers add or leave out is borne."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from ..errors import MalformedResponse, ServerFault
from ..messages import Message, Part, Reasoning, Text, ToolUse
from ..model import Delta, FinishReason, ModelResponse, ReasoningDelta, TextDelta, ToolUseDelta
from ..output import OutputType
from ..usage import Prices, Usage
from .shapes import arguments_of, content_of, encodable, text_of
from .tools import OfferedTools

_FINISHES: Mapping[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "length",
    "content_filter": "refused",
}

_GIVEN_UP = frozenset({"error", "abort"})
"""Reasons of an end that is none of the model's: what was said until then is a part of an answer."""


class Reading:
    """An answer that is being read: takes what comes, gives deltas, and in the end the whole.

    Calls are told apart by their index and their id together: some servers give every call of an answer the index 0,
    others repeat the id in every chunk.
    """

    def __init__(
        self,
        provider: str,
        *,
        output: OutputType[Any] | None = None,
        prices: Prices | None = None,
        tools: OfferedTools | None = None,
        taken: Iterable[str] = (),
    ) -> None:
        """Begin.

        Args:
            provider: Who answers.
            output: The type that was asked for.
            prices: What is charged.
            tools: Those that were offered, whose arguments come back as their own schemas have them.
            taken: The ids of calls that the conversation has already. Some servers give none, or the same in every
                answer; a call with such an id gets one of its own.
        """
        self._taken = set(taken)
        self._provider = provider
        self._tools = tools
        self._output = output
        self._prices = prices
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._opaque: list[dict[str, Any]] = []
        self._calls: list[_Call] = []
        self._call_at: dict[int, int] = {}
        self._call_by: dict[tuple[int, str], int] = {}
        self._finish = ""
        self._refused = False
        self._usage: Usage | None = None
        self._begun = False
        self._ended = False
        self._model = ""
        self._id = ""

    @property
    def is_finished(self) -> bool:
        """Whether the provider has said why the answer ends, or that nothing more comes."""
        return bool(self._finish) or self._ended

    def end(self) -> None:
        """Take in that nothing more comes, which is all that some servers say of the end of an answer."""
        self._ended = self._begun

    def feed(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """Take in a chunk.

        Raises:
            MalformedResponse: it is not shaped like one.
            ServerFault: the provider has given the answer up.
        """
        try:
            return self._feed(chunk, "delta")
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise self._malformed(error) from None

    def take(self, answer: Mapping[str, Any]) -> ModelResponse:
        """Take in a whole answer.

        Raises:
            MalformedResponse: it is not shaped like one.
            ServerFault: the provider has given the answer up.
            InvalidOutput: it is not of the type that was asked for.
        """
        try:
            if not answer["choices"]:
                raise MalformedResponse("the answer has no choices", provider=self._provider)
            self._feed(answer, "message")
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise self._malformed(error) from None
        return self.response()

    def _malformed(self, error: Exception) -> MalformedResponse:
        return MalformedResponse(f"the answer is not a chat completion ({error!r})", provider=self._provider)

    def _feed(self, chunk: Mapping[str, Any], within: str) -> list[Delta]:
        if usage := chunk.get("usage"):
            self._usage = read_usage(usage)
        if not self._model:
            self._model, self._id = text_of(chunk.get("model")), text_of(chunk.get("id"))
        deltas: list[Delta] = []
        choices = chunk.get("choices")
        if not choices:
            return deltas
        self._begun = True
        choice = choices[0]
        if finish := choice.get("finish_reason"):
            self._finish = text_of(finish)
            if self._finish in _GIVEN_UP:
                raise ServerFault(f"it gave the answer up ({self._finish})", provider=self._provider)
        piece = choice.get(within)
        if not piece:
            return deltas
        text, thought = content_of(piece.get("content"))
        if text:
            self._texts.append(text)
            deltas.append(TextDelta(encodable(text)))
        if thought := text_of(piece.get("reasoning_content") or piece.get("reasoning")) or thought:
            self._reasoning.append(thought)
            deltas.append(ReasoningDelta(encodable(thought)))
        if refusal := text_of(piece.get("refusal")):
            self._refused = True
            self._texts.append(refusal)
            deltas.append(TextDelta(encodable(refusal)))
        if blocks := piece.get("thinking_blocks"):
            self._opaque += blocks
        for order, call in enumerate(piece.get("tool_calls") or ()):
            index = order if within == "message" else call.get("index") or 0
            deltas.append(self._call(call, index))
        return deltas

    def _call(self, call: Mapping[str, Any], index: int) -> ToolUseDelta:
        identity = text_of(call.get("id"))
        function = call.get("function") or {}
        name, arguments = text_of(function.get("name")), arguments_of(function.get("arguments"))
        place = self._call_at.get(index)
        if place is not None and identity and self._calls[place].id not in ("", identity):
            # Some servers make up an id for every piece; what has no name begins no call.
            place = self._call_by.get((index, identity), None if name else place)
        elif place is not None and not identity and name and self._is_another(self._calls[place], name, arguments):
            place = None
        if place is None:
            place = len(self._calls)
            self._calls.append(_Call())
        self._call_at[index] = place
        if identity:
            self._call_by.setdefault((index, identity), place)
        known = self._calls[place]
        known.id = known.id or identity
        if name and name != known.name and not known.text:
            known.name += name  # some cut the name as well, others repeat it in every piece
        known.arguments.append(arguments)
        return ToolUseDelta(place, identity, name, encodable(arguments))

    def _is_another(self, known: _Call, name: str, more: str) -> bool:
        """Whether a piece without an id, that has this name and more arguments, begins another call than this one."""
        if not known.name or not (more.strip() or name != known.name):
            return False
        if not known.text:  # a whole call without arguments, or a name in pieces
            names = self._tools.names if self._tools is not None else frozenset()
            return known.name in names and name in names and known.name + name not in names
        return known.is_whole

    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            MalformedResponse: a call has no name.
            InvalidOutput: it is not of the type that was asked for.
        """
        parts: list[Part] = []
        if self._reasoning or self._opaque:
            parts.append(Reasoning(encodable("".join(self._reasoning)), self._provider, _merged(self._opaque)))
        if text := encodable("".join(self._texts)):
            parts.append(Text(text))
        for call in self._calls:
            if not call.name:
                raise MalformedResponse("a tool call has no name", provider=self._provider)
            use = ToolUse(self._own_id(encodable(call.id)), encodable(call.name), call.text or "{}")
            parts.append(use if self._tools is None else self._tools.restored(use))
        finish = self._finish_reason()
        usage = self._usage or Usage()
        if self._prices is not None and self._usage is not None:
            usage = replace(usage, cost_usd=self._prices.cost_usd(usage))
        output = None if self._output is None else self._output.of_answer(text, finish=finish, usage=usage)
        message = Message("assistant", tuple(parts))
        return ModelResponse(message, finish, usage, self._model, self._provider, self._id, output)

    def _own_id(self, given: str) -> str:
        """An id that no other call of the conversation has: the one that was given, where it is one."""
        own, number = given, len(self._taken)
        while not own or own in self._taken:
            own = f"{given[:32] or 'call'}_{number}"
            number += 1
        self._taken.add(own)
        return own

    def _finish_reason(self) -> FinishReason:
        if self._refused:
            return "refused"
        finish = _FINISHES.get(self._finish, "other")
        if self._calls:
            return "tool_use" if finish in ("stop", "other") else finish
        return "other" if finish == "tool_use" else finish  # some say so, and call nothing


class _Call:
    """A call as far as it is known."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    @property
    def text(self) -> str:
        """The arguments so far."""
        return encodable("".join(self.arguments))

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are JSON already."""
        try:
            json.loads(self.text)
        except (ValueError, RecursionError):
            return False
        return True


def _merged(blocks: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Blocks that came in pieces, whole: text of one type adds up until its signature closes it."""
    whole: list[dict[str, Any]] = []
    for block in blocks:
        last = whole[-1] if whole else None
        if last is not None and last.get("type") == block.get("type") == "thinking" and not last.get("signature"):
            last["thinking"] = (last.get("thinking") or "") + (block.get("thinking") or "")
            if block.get("signature"):
                last["signature"] = block["signature"]
        else:
            whole.append(dict(block))
    return tuple(whole)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """What a provider tells of use; what it leaves out is nothing. Its own `cost` is in US dollars, as OpenRouter's."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")) or _count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=_count(usage.get("cache_creation_input_tokens")) or _count(prompt.get("cache_write_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
        cost_usd=_money(usage.get("cost")),
    )


def _count(value: object) -> int:
    """A number of tokens; nothing where a server gives none. A negative one would give a budget back."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return max(value, 0) if isinstance(value, int) else 0


def _money(value: object) -> Decimal | None:
    if not isinstance(value, (int, float, str)):
        return None
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return None
    return money if money.is_finite() and money >= 0 else None
