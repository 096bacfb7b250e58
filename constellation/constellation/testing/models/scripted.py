"""A model that follows a script, without a server: what it is to be asked, in which order, and what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from anyio.lowlevel import checkpoint

from ...llm import LLMError, Message, ModelRequest, ModelResponse, ResponseStream, Usage
from ...llm.cassettes import WholeStream
from ...llm.messages import Part, Reasoning, Text, ToolUse
from ...llm.model import FinishReason
from ..errors import UnexpectedStep, UnusedSteps
from .answers import Reply

Step = str | Reply | LLMError | Callable[[ModelRequest], "str | Reply | LLMError"]
"""What a step answers: text, a reply, an error to raise, or a plain function of the request that returns one."""


class ScriptedModel:
    """A model for tests. Each request takes the next step; as a context manager it sees that none is left over.

    A step that is a function may look at the request, and assert what it should be.

    Attributes:
        requests: What it was asked, in order.

    Examples:
        >>> ScriptedModel(["hello"]).remaining
        1
    """

    def __init__(self, steps: Iterable[Step], *, name: str = "scripted/model") -> None:
        """Make a model that answers these steps, in this order."""
        self._steps = deque(steps)
        self._name = name
        self._wrong: UnexpectedStep | None = None
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        """Its model string."""
        return self._name

    @property
    def remaining(self) -> int:
        """How many steps are left."""
        return len(self._steps)

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer the next step.

        Raises:
            UnexpectedStep: there is none.
            LLMError: that is the step.
        """
        await checkpoint()
        self.requests.append(request)
        if not self._steps:
            last = request.messages[-1].text if request.messages else ""
            error = UnexpectedStep(f"the model was asked {last!r}, but the script is at its end")
            self._wrong = self._wrong or error
            raise error
        step = self._steps.popleft()
        answer = step(request) if callable(step) else step
        if isinstance(answer, LLMError):
            raise answer
        reply = Reply(answer) if isinstance(answer, str) else answer
        return self._response(reply, request)

    def _response(self, reply: Reply, request: ModelRequest) -> ModelResponse:
        number = len(self.requests)
        parts: list[Part] = [Reasoning(reply.reasoning)] if reply.reasoning else []
        if text := reply.text or reply.refusal:
            parts.append(Text(text))
        calls = enumerate(reply.calls)
        parts += [ToolUse(call.id or f"call_{number}_{at}", call.name, call.text) for at, call in calls]
        used = reply.usage
        usage = Usage() if used is None else Usage(used.prompt, used.cached, 0, used.completion, used.reasoning)
        finish: FinishReason = "refused" if reply.refusal else "tool_use" if reply.calls else "stop"
        output = None if request.output is None else request.output.of_answer(reply.text, finish=finish, usage=usage)
        message = Message("assistant", tuple(parts))
        return ModelResponse(message, finish, usage, "model", "scripted", f"scripted-{number}", output)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ResponseStream]:
        """Answer the next step, a piece per part."""
        yield WholeStream(await self.respond(request))

    async def aclose(self) -> None:
        """Nothing is open."""

    def check_used_up(self) -> None:
        """See that everything went as scripted.

        Raises:
            UnexpectedStep: it was asked more.
            UnusedSteps: it was asked less.
        """
        if self._wrong is not None:
            raise self._wrong
        if self._steps:
            raise UnusedSteps(f"the script was not used up: {len(self._steps)} steps were not asked for")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.check_used_up()
