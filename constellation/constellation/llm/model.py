"""What a model is: something that answers requests, whole or piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from .hints.hint import WorkflowHint
from .messages import Message
from .output import OutputType
from .tools import ToolSpec
from .usage import Usage

FinishReason = Literal["stop", "tool_use", "length", "refused", "other"]
ToolChoice = Literal["auto", "none", "required"]
Effort = Literal["none", "minimal", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        messages: The conversation so far.
        tools: What it may call.
        tool_choice: Whether it may, may not or has to call one; or the name of the one that it has to call.
        parallel_tool_calls: False to be asked for one call at a time; None leaves it to the provider.
        output: The type that the answer has to have; None for text.
        max_tokens: How long the answer may be; None leaves it to the provider.
        temperature: None leaves it to the provider.
        stop: Texts at which the answer ends.
        effort: How much it is to reason; None leaves it to the provider.
        hint: What is known of the workflow that this request is a step of.
        timeout_s: How long it may take in all, retries included; None for no limit besides the client's own.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice | str = "auto"
    parallel_tool_calls: bool | None = None
    output: OutputType[Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None
    hint: WorkflowHint | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What a model has answered.

    Attributes:
        message: The answer.
        finish_reason: Why it ended.
        usage: What it used.
        model: The name of the model that answered, as the provider tells it.
        provider: The provider's name.
        id: The provider's id of the answer; empty where it gave none.
        output: The answer as a value of the type that was asked for; None where none was, or where a tool is called
            first.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage
    model: str
    provider: str
    id: str = ""
    output: Any = field(default=None, hash=False)

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUseDelta:
    """More of a call.

    Attributes:
        index: Which call of this answer, from 0.
        id: Its id, once it is known.
        name: The tool, once it is known.
        arguments: More of the JSON of its arguments.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


Delta = TextDelta | ReasoningDelta | ToolUseDelta


class ResponseStream(Protocol):
    """An answer while it comes: iterate over it for the deltas; when they have ended, `response` is the whole."""

    def __aiter__(self) -> AsyncIterator[Delta]:
        """The deltas that are still to come; raises `LLMError` where they break off."""
        ...

    @property
    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            RuntimeError: the deltas have not ended yet.
        """
        ...


@runtime_checkable
class Model(Protocol):
    """Something that answers requests. Several may be under way at once; cancelling one closes its connection."""

    @property
    def name(self) -> str:
        """The model string, such as `openai/gpt-5`."""
        ...

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer as a whole.

        Raises:
            LLMError: it did not; which one says why.
        """
        ...

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ResponseStream]:
        """Answer piece by piece; leaving the context closes the connection.

        Raises:
            LLMError: it did not; which one says why. Also raised while iterating.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
