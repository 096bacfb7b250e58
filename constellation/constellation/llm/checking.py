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

_TOOL_TOKENS = 15
"""What being told of the tool adds to a prompt at the very least, by any tokenizer."""

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


@dataclass(slots=True)
class _Trial:
    """A model that is tried.

    Attributes:
        model: The model.
        prompt_tokens: How long a prompt without tools was; 0 while that is not known.
    """

    model: ChatModel
    prompt_tokens: int = 0


async def check_model(model: ChatModel) -> AsyncIterator[Check]:
    """Try what a model can do; when it does not answer at all, nothing else is tried."""
    trial = _Trial(model)
    first = await _check("answer", _answer, trial)
    yield first
    if first.ok:
        yield await _check("stream", _stream, trial)
        yield await _check("tools", _tools, trial)
        yield await _check("hints", _hints, trial)


async def _check(name: str, attempt: Callable[[_Trial], Awaitable[Check]], trial: _Trial) -> Check:
    try:
        return await attempt(trial)
    except LLMError as error:
        return Check(name, False, str(error))


def _request(text: str, **more: object) -> ModelRequest:
    return ModelRequest((user(text),), max_tokens=_ANSWER_TOKENS, timeout_s=_TIMEOUT_S, **more)  # type: ignore[arg-type]


async def _answer(trial: _Trial) -> Check:
    model = trial.model
    response = await model.respond(_request("Answer with the word yes."))
    usage = response.usage
    trial.prompt_tokens = usage.input_tokens
    cost = "no price is known" if usage.cost_usd is None else f"{usage.cost_usd.normalize():f} USD"
    detail = f"{_who(response.model, model)}, {usage.input_tokens} + {usage.output_tokens} tokens, {cost}"
    return Check("answer", bool(response.text), detail if response.text else f"an empty answer: {detail}")


def _who(said: str, model: ChatModel) -> str:
    """Who answers. Some servers answer with the model that they have, whichever was asked for."""
    asked = model.model.rpartition("/")[2]
    if not said or said.rpartition("/")[2].startswith(asked):
        return said or model.name
    return f"{said}, though {asked} was asked for"


async def _stream(trial: _Trial) -> Check:
    pieces = 0
    async with trial.model.stream(_request("Count from one to ten, in words.")) as stream:
        async for delta in stream:
            pieces += isinstance(delta, TextDelta)
    return Check("stream", pieces > 0, f"{pieces} pieces of text")


async def _tools(trial: _Trial) -> Check:
    request = _request("Add 2 and 3 with the tool.", tools=(_TOOL,), tool_choice="required")
    response = await trial.model.respond(request)
    calls = response.message.tool_uses
    if calls and calls[0].name == _TOOL.name:
        return Check("tools", True, f"{calls[0].name} {calls[0].arguments}")
    if 0 < response.usage.input_tokens < trial.prompt_tokens + _TOOL_TOKENS:
        problem = "its server does not tell it of tools; maybe its chat template knows none"
    elif response.finish_reason == "length":
        problem = f"it was told to call a tool, and wrote {response.usage.output_tokens} tokens of something else"
    else:
        problem = "it was told to call a tool, and did not"
    return Check("tools", False, f"{problem}: it can't plan")


async def _hints(trial: _Trial) -> Check:
    model = trial.model
    hint = WorkflowHint("check", session="check/models", last_step=True)
    await model.respond(_request("Answer with the word yes.", hint=hint))
    refused = ", ".join(sorted(model.memory.refused))
    return Check("hints", True, f"dialect {model.dialect_name}" + (f"; it refuses {refused}" if refused else ""))
