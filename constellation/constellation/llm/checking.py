"""What works of a model: a tiny request, a stream, a call of a tool, and hints; each costs a few tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from .clients.chat import ChatModel
from .errors import LLMError
from .hints.hint import WorkflowHint
from .messages import user
from .model import ModelRequest, TextDelta
from .tools import ToolSpec

_ANSWER_TOKENS = 512
"""Room for a model that reasons first."""

_TIMEOUT_S = 60.0

_TOOL = ToolSpec(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: `answer`, `stream`, `tools` or `hints`.
        ok: Whether it works.
        detail: What came, or why it does not work.
    """

    name: str
    ok: bool
    detail: str


async def check_model(model: ChatModel) -> AsyncIterator[Check]:
    """Try what a model can do; when it does not answer at all, nothing else is tried."""
    first = await _check("answer", _answer, model)
    yield first
    if first.ok:
        yield await _check("stream", _stream, model)
        yield await _check("tools", _tools, model)
        yield await _check("hints", _hints, model)


async def _check(name: str, attempt: Callable[[ChatModel], Awaitable[Check]], model: ChatModel) -> Check:
    try:
        return await attempt(model)
    except LLMError as error:
        return Check(name, False, str(error))


def _request(text: str, **more: object) -> ModelRequest:
    return ModelRequest((user(text),), max_tokens=_ANSWER_TOKENS, timeout_s=_TIMEOUT_S, **more)  # type: ignore[arg-type]


async def _answer(model: ChatModel) -> Check:
    response = await model.respond(_request("Answer with the word yes."))
    usage = response.usage
    cost = "no price is known" if usage.cost_usd is None else f"{usage.cost_usd.normalize():f} USD"
    detail = f"{response.model or model.name}, {usage.input_tokens} + {usage.output_tokens} tokens, {cost}"
    return Check("answer", bool(response.text), detail if response.text else f"an empty answer: {detail}")


async def _stream(model: ChatModel) -> Check:
    pieces = 0
    async with model.stream(_request("Count from one to ten, in words.")) as stream:
        async for delta in stream:
            pieces += isinstance(delta, TextDelta)
    return Check("stream", pieces > 0, f"{pieces} pieces of text")


async def _tools(model: ChatModel) -> Check:
    response = await model.respond(_request("Add 2 and 3 with the tool.", tools=(_TOOL,), tool_choice="required"))
    calls = response.message.tool_uses
    if not calls or calls[0].name != _TOOL.name:
        return Check("tools", False, "it was told to call a tool, and did not: it can't plan")
    return Check("tools", True, f"{calls[0].name} {calls[0].arguments}")


async def _hints(model: ChatModel) -> Check:
    hint = WorkflowHint("check", session="check/models", last_step=True)
    await model.respond(_request("Answer with the word yes.", hint=hint))
    refused = ", ".join(sorted(model.memory.refused))
    return Check("hints", True, f"dialect {model.dialect_name}" + (f"; it refuses {refused}" if refused else ""))
