"""Conversations: they can be saved, loaded, and moved to another provider in the middle.

A saved one is a JSON document with a version. Reading takes nothing on trust: it is validated as any input is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from .errors import InvalidRequest
from .messages import Message, Part, Reasoning, ToolResult, ToolUse, user
from .model import Model, ModelRequest, ModelResponse
from .usage import NOTHING, Usage

VERSION = 1
"""The version of the format that is written, and the only one so far."""

CANCELLED = "cancelled: this call was not carried out"
"""What is said of a call that nobody has answered."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer within a conversation.

    Attributes:
        at: Which message it is, from 0.
        model: The model string that it came from.
        usage: What it used.
    """

    at: int
    model: str
    usage: Usage


@dataclass(slots=True)
class Conversation:
    """Messages, and who gave the answers among them.

    Attributes:
        messages: What was said so far.
        turns: The answers that came from models through `ask`.
    """

    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def add(self, *messages: Message) -> None:
        """Say more."""
        self.messages += messages

    async def ask(self, model: Model, request: ModelRequest | None = None) -> ModelResponse:
        """Have a model answer, and add its answer. Another model may be asked each time.

        Args:
            model: Who is asked.
            request: What goes with the conversation, such as tools; its own messages are not used.

        Raises:
            LLMError: it did not answer; the conversation is as it was.
        """
        request = request or ModelRequest(())
        response = await model.respond(replace(request, messages=portable(self.messages)))
        self.turns.append(Turn(len(self.messages), model.name, response.usage))
        self.messages.append(response.message)
        return response

    @property
    def usage(self) -> Usage:
        """What all answers have used together."""
        return sum((turn.usage for turn in self.turns), NOTHING)

    def to_json(self) -> bytes:
        """The conversation as a document."""
        return _SAVED.dump_json(_Saved(1, tuple(self.messages), tuple(self.turns)))

    @classmethod
    def from_json(cls, document: bytes | str) -> Conversation:
        """Read a conversation.

        Raises:
            InvalidRequest: it is none, or is of a version that this release does not read.
        """
        try:
            saved = _SAVED.validate_json(document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the document"
            raise InvalidRequest(
                f"this is no saved conversation of version {VERSION}: {place}: {first['msg']}"
            ) from None
        return cls(list(saved.messages), list(saved.turns))


@dataclass(frozen=True, slots=True)
class _Saved:
    version: Literal[1]
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]


_SAVED: TypeAdapter[_Saved] = TypeAdapter(_Saved)

_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""Ids of calls that every provider takes, but Mistral, for which litellm makes others."""


def portable(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages such that any provider takes them.

    Ids of calls that not all providers take are replaced. A call without a result gets one that says so, right behind
    the message with the call; a result without a call is left out. Reasoning stays: whoever sends it knows whose it is.
    """
    done: list[Message] = []
    waiting: dict[str, str] = {}
    for message in messages:
        if message.role == "user":
            message = replace(message, parts=tuple(_results(message.parts, waiting)))
            if not message.parts:
                continue
            if waiting:
                message = replace(message, parts=(*_cancelled(waiting.values()), *message.parts))
                waiting.clear()
        else:
            if waiting:
                done.append(user(*_cancelled(waiting.values())))
            waiting = {part.id: _portable_id(part.id) for part in message.tool_uses}
            parts = (
                replace(part, id=waiting[part.id]) if isinstance(part, ToolUse) else part for part in message.parts
            )
            message = replace(message, parts=tuple(parts))
        done.append(message)
    if waiting:
        done.append(user(*_cancelled(waiting.values())))
    return tuple(done)


def _results(parts: Iterable[Part], waiting: dict[str, str]) -> Iterator[Part]:
    for part in parts:
        if not isinstance(part, ToolResult):
            yield part
        elif part.call in waiting:
            yield replace(part, call=waiting.pop(part.call))


def _cancelled(calls: Iterable[str]) -> tuple[ToolResult, ...]:
    return tuple(ToolResult.of(call, CANCELLED, is_error=True) for call in calls)


def _portable_id(identity: str) -> str:
    if _ID.fullmatch(identity):
        return identity
    return f"call_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"


def without_reasoning(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages without what models thought, which makes a long conversation shorter."""
    kept: list[Message] = []
    for message in messages:
        parts: tuple[Any, ...] = tuple(part for part in message.parts if not isinstance(part, Reasoning))
        if parts:
            kept.append(replace(message, parts=parts))
    return tuple(kept)
