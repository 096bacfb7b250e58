"""Prompts carried out by a language model with the tools of this device: the loop's commands, done.

The model's answers are streamed, its calls run by a `ToolRunner` under the device's policy, and both end with the
prompt, however it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread

from constellation.llm import (
    InvalidRequest,
    LLMError,
    Model,
    ModelAddress,
    ModelMisconfigured,
    Prices,
    TextDelta,
    ToolSpec,
    open_model,
)
from constellation.llm.scrubbing import scrub
from constellation_protocol.kinds import ModelAgent
from constellation_protocol.messages import ErrorInfo
from constellation_tools import Toolset
from constellation_tools.dialects import ToolResult
from constellation_tools.runner import CallChanged, CallProgress, CallState, Delivery, ToolRunner

from ..errors import BadDeviceSetup, WorkFailed
from ..failures import speakable
from .commands import Ask, AwaitResults, Command, Fail, Finish, Outcome, RunCalls
from .limits import AgentLimits
from .loop import LIMIT_REACHED, AgentLoop, LoopSettings
from .offering import ToolOffer, dialect_of
from .pauses import PauseBook
from .permissions import nobody_to_ask, policy_of
from .reporting import Reporter
from .transcripts import transcript, write_transcript
from .work import PromptWork, Workplace, prompt_tool

MAX_RESULT_BYTES = 4_000_000
"""How much of a tool's result is kept, for `read_more`; the model is shown far less at once."""

OWN_TOOLS = frozenset({"answer", "read_more", "wait"})
"""Names of tools that the loop itself has: the device's tools of these names are not offered."""


class ModelPrompter:
    """Carries out prompts by one model; made by `open_model_agent`."""

    def __init__(self, model: Model, agent: ModelAgent, *, device: str = "", secrets: tuple[str, ...] = ()) -> None:
        """Carry out prompts.

        Args:
            model: Who is asked.
            agent: How.
            device: The device's name.
            secrets: What must not be told to anybody.
        """
        name = model.name.partition("@")[0]
        context = f" (context of {agent.context_tokens} tokens)" if agent.context_tokens is not None else ""
        self.tool = prompt_tool(f"Carry out an instruction by the model {name}{context} and the tools of this device.")
        self.labels: Mapping[str, str] = {"model": name}
        if agent.context_tokens is not None:
            self.labels = {**self.labels, "context_tokens": str(agent.context_tokens)}
        limits = AgentLimits(agent.max_steps, agent.max_tokens, agent.max_time_s, agent.budget_usd)
        self._settings = LoopSettings(agent.instructions, agent.context_tokens, limits)
        self._model = model
        self._dialect = dialect_of(model.name)
        self._policy = policy_of(agent)
        self._device = device
        self._secrets = secrets
        self._transcripts = agent.transcripts
        self._pauses = PauseBook()

    async def run(self, work: PromptWork, place: Workplace) -> Any:
        """Carry out a prompt; see `Prompter`."""
        reporter = Reporter(place.report)
        watch = _Watch(reporter)
        tools = [tool for name, tool in place.tools.items() if name not in OWN_TOOLS]
        offer = ToolOffer(tools, self._dialect)
        runner = ToolRunner(
            Toolset(tools),
            policy=self._policy,
            approver=nobody_to_ask,
            device=self._device,
            context=place.context,
            max_output_bytes=MAX_RESULT_BYTES,
            on_event=watch.take,
            invoke=place.invoke,
        )
        specs = list(offer.specs)
        if any(tool.background for tool in tools):
            specs.append(ToolSpec.of(runner.wait_tool))
        try:
            loop = AgentLoop(work, tools=specs, settings=self._settings, pauses=self._pauses, now=anyio.current_time())
        except InvalidRequest as error:
            raise WorkFailed(ErrorInfo(type="InvalidArguments", message=str(error))) from error
        hidden = dict.fromkeys(place.tools.keys() & OWN_TOOLS, "the agent has one of its own")
        for name, reason in {**offer.skipped, **hidden}.items():
            place.report(f"the tool {name} is not offered to the model: {reason}")
        end: Command = Fail(LIMIT_REACHED, f"the prompt was ended: it took longer than {loop.spent.limits.time_s} s")
        try:
            with anyio.move_on_after(loop.spent.limits.time_s):
                async with runner:
                    end = await self._carry_out(loop, offer, runner, watch)
        finally:
            where = await self._keep_transcript(loop, work)
        if isinstance(end, Finish):
            return end.output
        assert isinstance(end, Fail)
        details = {**loop.spent.as_json(), **({"transcript": where} if where else {})}
        message = speakable(scrub(end.message, self._secrets)[:4_000])
        raise WorkFailed(ErrorInfo(type=end.type, message=message, details=details))

    async def _carry_out(self, loop: AgentLoop, offer: ToolOffer, runner: ToolRunner, watch: _Watch) -> Command:
        """Do what the loop commands until it has come to an end, and return that."""
        command = loop.begin(anyio.current_time())
        while not isinstance(command, Finish | Fail):
            match command:
                case Ask():
                    command = await self._ask(command, loop, runner, watch.reporter)
                case RunCalls(calls):
                    batch = await runner.run(map(offer.call_of, calls))
                    outcomes = [_outcome(result, watch.seconds.pop(result.id, 0.0)) for result in batch.results]
                    arrived = [_arrived(delivery) for delivery in runner.collect()]
                    command = loop.returned(outcomes, anyio.current_time(), arrived=arrived)
                case AwaitResults():
                    deliveries = await runner.wait(for_all=True)
                    command = loop.arrived(list(map(_arrived, deliveries)), anyio.current_time())
        return command

    async def _ask(self, ask: Ask, loop: AgentLoop, runner: ToolRunner, reporter: Reporter) -> Command:
        reporter.asked(ask)
        try:
            async with self._model.stream(ask.request) as stream:
                async for delta in stream:
                    if isinstance(delta, TextDelta):
                        reporter.text(delta.text, anyio.current_time())
            response = stream.response
        except LLMError as error:
            reporter.flush()
            return loop.failed(error, anyio.current_time())
        command = loop.answered(response, anyio.current_time(), running=len(runner.pending))
        reporter.used(loop.spent.as_json())
        return command

    async def _keep_transcript(self, loop: AgentLoop, work: PromptWork) -> str | None:
        """Write down the conversation where that is wanted; returns where it is, or why it is not."""
        folder = self._transcripts
        if folder is None:
            return None
        document = transcript(loop.history, self._secrets)
        where = ""
        with anyio.CancelScope(shield=True):
            try:
                where = str(await anyio.to_thread.run_sync(write_transcript, folder, work.attempt, document))
            except OSError as error:
                where = f"not written: {error}"
        return where


@asynccontextmanager
async def open_model_agent(agent: ModelAgent, *, device: str, key: str | None) -> AsyncIterator[ModelPrompter]:
    """Open a model, and carry out prompts by it; closes its connections in the end.

    Args:
        agent: What the device was told.
        device: The device's name.
        key: The model's key; None for the environment's.

    Raises:
        BadDeviceSetup: the model can't be opened as it is described.
    """
    prices = None if agent.prices_usd is None else Prices(*agent.prices_usd)
    try:
        ModelAddress.parse(agent.model)
        model = open_model(agent.model, api_key=key, prices=prices)
    except ModelMisconfigured as error:
        raise BadDeviceSetup(f"the model can't be used: {error}") from error
    async with model:
        yield ModelPrompter(model, agent, device=device, secrets=() if key is None else (key,))


def _outcome(result: ToolResult, seconds: float) -> Outcome:
    handle = str(result.value["handle"]) if result.pending and isinstance(result.value, dict) else ""
    return Outcome(result.id, result.name, result.value, result.is_error, seconds, handle)


def _arrived(delivery: Delivery) -> Outcome:
    result = delivery.result
    return Outcome(result.id, result.name, result.value, result.is_error, handle=delivery.handle)


class _Watch:
    """Sees what happens to calls: reports it, and knows how long each of them ran.

    Attributes:
        reporter: Who reports it.
        seconds: How long calls ran that have ended, by their ids.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def take(self, event: CallChanged | CallProgress) -> None:
        """Take in an event of the runner; what tools report themselves comes another way."""
        if isinstance(event, CallProgress):
            return
        call = event.call
        if event.state is CallState.RUNNING:
            self._began[call.id] = anyio.current_time()
            self.reporter.call(call.name, call.id, "runs")
        elif event.state.settled and event.result is not None:
            now = anyio.current_time()
            self.seconds[call.id] = now - self._began.pop(call.id, now)
            problem = event.result.text if event.result.is_error else None
            self.reporter.call(call.name, call.id, event.state.value, problem)
