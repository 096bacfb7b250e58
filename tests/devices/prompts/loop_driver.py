"""Drives an agent loop by hand: a model that follows a script, tools that are plain functions, a clock that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from constellation.llm import LLMError, Message, ModelRequest, ModelResponse, Text, ToolSpec, ToolUse, Usage
from constellation_devices.prompts.commands import Ask, AwaitResults, Command, Fail, Finish, Outcome, RunCalls
from constellation_devices.prompts.limits import AgentLimits
from constellation_devices.prompts.loop import AgentLoop, LoopSettings
from constellation_devices.prompts.pauses import PauseBook
from constellation_devices.prompts.work import PromptWork

WORK = PromptWork("Count the lines.", run="r", star="s", attempt="r/s/1")
SCHEMA = {"type": "object", "properties": {"k": {"type": "string"}}}


def use(name: str, arguments: str = "{}", id: str = "") -> ToolUse:
    return ToolUse(id or f"c-{name}", name, arguments)


def said(
    *parts: str | ToolUse, finish: str | None = None, tokens: tuple[int, int] = (10, 5), usage: Usage | None = None
) -> ModelResponse:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    calls = any(isinstance(part, ToolUse) for part in parts)
    return ModelResponse(
        Message("assistant", content),
        finish or ("tool_use" if calls else "stop"),  # type: ignore[arg-type]
        usage or Usage(tokens[0], output_tokens=tokens[1]),
        "model",
        "scripted",
    )


Step = ModelResponse | LLMError | Callable[[ModelRequest], "ModelResponse | LLMError"]


class Driver:
    """Carries out what a loop commands, at once."""

    def __init__(
        self,
        steps: Iterable[Step],
        *,
        tools: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None,
        work: PromptWork = WORK,
        pauses: PauseBook | None = None,
        now: float = 0.0,
        **settings: Any,
    ) -> None:
        self.steps = list(steps)
        self.tools = dict(tools or {})
        self.asked: list[Ask] = []
        self.ran: list[tuple[str, ...]] = []
        self.background: list[Outcome] = []
        self.now = now
        limits = settings.pop("limits", AgentLimits())
        self.loop = AgentLoop(
            work,
            tools=[ToolSpec(name, f"{name}.", SCHEMA) for name in self.tools],
            settings=LoopSettings(limits=limits, **settings),
            pauses=pauses or PauseBook(),
            now=now,
        )

    def run(self) -> Finish | Fail:
        command: Command = self.loop.begin(self.now)
        while not isinstance(command, Finish | Fail):
            command = self.follow(command)
        assert not self.steps, f"not asked for: {self.steps}"
        return command

    def follow(self, command: Command) -> Command:
        match command:
            case Ask(request):
                self.asked.append(command)
                step = self.steps.pop(0)
                answer = step(request) if callable(step) else step
                self.now += 1
                if isinstance(answer, LLMError):
                    return self.loop.failed(answer, self.now)
                return self.loop.answered(answer, self.now, running=len(self.background))
            case RunCalls(calls):
                self.ran.append(tuple(call.name for call in calls))
                return self.loop.returned([self.outcome(call) for call in calls], self.now)
            case AwaitResults():
                arrived, self.background = self.background, []
                return self.loop.arrived(arrived, self.now)
        raise AssertionError(command)

    def outcome(self, call: ToolUse) -> Outcome:
        try:
            value = self.tools[call.name](call.decoded())
        except Exception as error:
            return Outcome(call.id, call.name, str(error), is_error=True)
        self.now += 2
        if isinstance(value, Later):
            self.background.append(Outcome(call.id, call.name, value.value, handle=value.handle))
            return Outcome(call.id, call.name, f"goes on as {value.handle}", handle=value.handle)
        return Outcome(call.id, call.name, value, seconds=2.0)

    def last_messages(self) -> str:
        """What the model was shown last, as text."""
        return "\n".join(map(shown, self.asked[-1].request.messages))


class Later:
    """What a tool returns that goes on."""

    def __init__(self, handle: str, value: Any) -> None:
        self.handle, self.value = handle, value


def shown(message: Message) -> str:
    texts = [message.text]
    for part in message.parts:
        texts += [each.text for each in getattr(part, "content", ()) if isinstance(each, Text)]
    return "\n".join(filter(None, texts))


def with_output(schema: Mapping[str, Any]) -> PromptWork:
    return replace(WORK, output=schema)
