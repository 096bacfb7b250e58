"""What a planner is told of a large run does not grow with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation import Orchestrator, TaskConstellation
from constellation.graph import Outcome, StarError, StarId, StarState
from constellation.llm import Message, ModelRequest, ModelResponse, ToolResult, Usage, assistant, user
from constellation.llm.cassettes import WholeStream
from constellation.llm.messages import ToolUse
from constellation.orchestrator.asking import AskOptions
from constellation.planner import Budget, DeviceFacts, EditPolicy, Limits, Remark, Surroundings, ToolFacts
from constellation.planner.budget import Ledger
from constellation.planner.dialogue import Course, Desk, converse
from constellation.planner.editing import Edit
from constellation.planner.fencing import Fence, tokens_in
from constellation.planner.keeping import OLD_ANSWERS
from constellation.planner.view import View
from constellation.testing.models import Reply, ScriptedModel
from constellation_tools import tool

from .scripts import call, said

STARS = 500
WAVES = 25
BOUND = 3_000
NOISE = "measured and found to be in order, as far as can be seen from here; " * 20


@tool
def scan(number: int) -> dict[str, Any]:
    """Scan something, and say much about it."""
    return {"number": number, "said": NOISE}


class Onlooker:
    """A model that plans many stars, leaves everything as it is, and answers; it keeps how much it was told."""

    name = "onlooker/model"

    def __init__(self) -> None:
        self.told: list[int] = []

    async def respond(self, request: ModelRequest) -> ModelResponse:
        if not self.told:
            self.told.append(0)
            per_wave = STARS // WAVES
            stars = [
                call(
                    "add_star",
                    id=f"s{number}",
                    tool="scan",
                    arguments={"number": number},
                    after=[f"s{number - per_wave}"] if number >= per_wave else [],
                )
                for number in range(STARS)
            ]
            reply = said(*stars, call("finish", reason="in waves"))
            calls = [ToolUse(f"c{place}", each.name, each.text) for place, each in enumerate(reply.calls)]
            return self._response(assistant(*calls))
        if not request.tools:
            return self._response(assistant("All were scanned."))
        if len(request.messages) > 2:  # that the rows of stars do not use one another is told back once
            return self._response(assistant(ToolUse("f", "finish", '{"reason": "in waves"}')))
        self.told.append(sum(tokens_in(message.text) for message in request.messages))
        return self._response(assistant(ToolUse("l", "leave", '{"reason": "it goes well"}')))

    def _response(self, message: Message) -> ModelResponse:
        return ModelResponse(message, "stop", Usage(), "model", "onlooker")

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        yield WholeStream(await self.respond(request))

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.anyio
async def test_the_context_of_a_run_of_500_stars_stays_within_its_bound_to_the_end() -> None:
    model = Onlooker()
    limits = Limits(context_tokens=BOUND, calls=STARS + 1)
    options = AskOptions(edits=EditPolicy("every", gather_s=0.02), limits=limits, budget=Budget(calls=10_000))
    async with Orchestrator.local(4, slots=8, tools=[scan]) as orchestrator:
        answer = await orchestrator.ask("Scan it all", model=model, options=options)
    assert answer.report.stars == {"succeeded": STARS}
    told = model.told[1:]
    assert len(told) >= WAVES
    # Twice the bound: what is told of the graph, and of the devices; and what does not depend on either.
    assert max(told) <= 2 * BOUND + 1_000
    early, late = sorted(told[:5])[2], sorted(told[-5:])[2]
    assert late <= early * 1.25 + 200


def a_graph(stars: int, *, ended: int) -> TaskConstellation:
    graph = TaskConstellation("large")
    for number in range(stars):
        after = [f"s{number - 10}"] if number >= 10 else []
        graph.star(f"s{number}", "scan", number=number, after=after)
    for number in range(ended):
        star = StarId(f"s{number}")
        failed = number % 50 == 49
        error = StarError("Boom", NOISE) if failed else None
        for state in (StarState.READY, StarState.RUNNING):
            if graph.state(star) is not state:
                graph.enter(star, state) if state is StarState.READY else None
        graph.enter(star, StarState.ASSIGNED)
        graph.enter(star, StarState.RUNNING)
        outcome = Outcome({"n": number, "said": NOISE} if not failed else None, error, "device-1", 1)
        graph.settle(star, StarState.FAILED if failed else StarState.SUCCEEDED, outcome)
    return graph


@pytest.mark.parametrize("ended", [20, 200, 480])
def test_a_view_is_within_its_bound_however_much_has_ended(ended: int) -> None:
    view = View(Fence(), tokens=BOUND)
    graph = a_graph(500, ended=ended)
    few, many = [f"s{ended - 1}"], [f"s{number}" for number in range(ended)]
    for stars in (few, many):
        assert tokens_in(view.results(graph, stars)) <= BOUND * 1.2
    assert tokens_in(view.outcomes(graph)) <= BOUND * 1.7
    assert "more: tool" in view.results(graph, many)


@pytest.mark.anyio
async def test_however_much_a_model_looks_at_its_conversation_stays_within_a_bound() -> None:
    graph = a_graph(500, ended=480)
    limits = Limits(context_tokens=BOUND)
    edit = Edit(graph, Surroundings((), (), lambda stars: []), limits, Fence(), View(Fence(), tokens=BOUND))
    told: list[int] = []

    def look(request: ModelRequest) -> Reply:
        results = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
        told.append(sum(tokens_in(str(result.content)) for result in results))
        every = [call("look", stars=[f"s{first + n}" for n in range(20)]) for first in range(0, 480, 20)]
        return said(*every)

    async def done() -> str | None:
        return None

    async def note(remark: Remark) -> None:
        assert remark.kind == "asked"

    steps = [*[look] * 20, said(call("leave", reason="it goes well"))]
    with ScriptedModel(steps) as model:
        desk = Desk(model, Ledger(Budget()), Course("large"), note)
        await converse(desk, [user("look after it")], edit, limits, doing="edit", done=done)
    assert max(told) <= (OLD_ANSWERS + 1) * BOUND + 20 * 24 * 60, "what is left out takes a few words for each call"
    assert told[-1] - told[-2] <= 24 * 60


def test_many_devices_and_tools_are_told_within_the_bound() -> None:
    devices = tuple(DeviceFacts(f"device-{number}", labels={"zone": "x" * 50}) for number in range(1_000))
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": NOISE} for n in range(20)}}
    tools = tuple(ToolFacts(f"tool_{number}", NOISE, schema, ("device-1",)) for number in range(300))
    text = Surroundings(devices, tools, lambda stars: []).described(Fence(), tokens=BOUND)
    assert tokens_in(text) <= 2 * BOUND + 500
    assert "and " in text
    assert " more" in text


@given(st.text(), st.integers(1, 200))
def test_nothing_leaves_a_fence_and_nothing_is_longer_than_its_bound(text: str, tokens: int) -> None:
    fenced = Fence().data("output", {"said": text}, tokens=tokens)
    inside = fenced.removeprefix('<data from="output">\n').removesuffix("\n</data>")
    assert "<" not in inside
    assert tokens_in(inside) <= tokens + 15  # what says how much was left out
