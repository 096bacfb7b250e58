"""Prompts from the graph to a model and back: real device processes, a real HTTP server of models."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import DeviceSpec, ModelAgent, Orchestrator, Prompt, RetryPolicy, RunReport, TaskConstellation
from constellation.llm import Conversation
from constellation.orchestrator.events import StarProgress, StarSettled
from constellation.testing.models import Called, Fault, Gate, ModelServer, Reply, SeenRequest

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TOOLS = str(Path(__file__).with_name("prompt_tools.py"))
PATIENCE_S = 60.0
KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def orchestrator_of(
    server: ModelServer, *, model: str | None = None, kind: str = "process", root: Path | None = None, **agent: Any
) -> AsyncIterator[Orchestrator]:
    spec = DeviceSpec(
        "desk", slots=2, tools=[TOOLS], root=root, agent=ModelAgent(model or server.model, **agent)
    )
    with anyio.fail_after(PATIENCE_S):
        async with Orchestrator.local([spec], kind=kind) as orchestrator:
            yield orchestrator


async def run(graph: TaskConstellation, server: ModelServer, **options: Any) -> RunReport:
    async with orchestrator_of(server, **options) as orchestrator:
        return await (await orchestrator.submit(graph)).wait()


def one_star(*, instruction: str = "Do it.", **options: Any) -> TaskConstellation:
    prompt = Prompt(instruction, options.pop("given", {}), options.pop("output", None))
    graph = TaskConstellation("g")
    graph.star("ask", prompt, **options)
    return graph


def texts_of(request: SeenRequest) -> list[str]:
    return [str(message.get("content")) for message in request.messages]


def results_of(request: SeenRequest) -> list[str]:
    return [message["content"] for message in request.messages if message["role"] == "tool"]


@pytest.mark.parametrize("through", ["openai", "litellm"])
async def test_the_answer_of_one_star_is_given_to_the_next_as_data(through: str) -> None:
    graph = TaskConstellation("two")
    first = graph.star("first", Prompt("Write a poem."))
    graph.star("second", Prompt("Review the poem."), poem=first.output)
    async with ModelServer(["Roses are red.", "It rhymes."]) as server:
        model = server.model if through == "openai" else f"litellm/openai/scripted@{server.url}"
        report = await run(graph, server, model=model)
    assert report.state == "succeeded", report
    assert [row.output for row in report.rows] == ["Roses are red.", "It rhymes."]
    asked = texts_of(server.requests[1])[1]
    assert asked.startswith("Review the poem.")
    assert '"poem":\n<data-' in asked
    assert "\nRoses are red.\n</data-" in asked
