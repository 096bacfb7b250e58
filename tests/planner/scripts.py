"""What scripted models say in the planner's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from constellation.llm import ModelRequest, ModelResponse, ResponseStream
from constellation.llm.cassettes import WholeStream
from constellation.orchestrator.events import Event, PlannerNoted
from constellation.testing.models import Called, Reply, ScriptedModel, Used

TOOLS = Path(__file__).with_name("parts_tools.py")
PARTS = ("wheel", "axle", "spring", "hub", "bolt")
REQUEST = "Measure the wheel, the axle, the spring, the hub and the bolt, and add up what comes out."
ANSWER = "Together they measure 22."


class Interrupted:
    """A model before one of whose answers something happens."""

    def __init__(self, model: ScriptedModel, *, before: int, what: Callable[[ModelRequest], Awaitable[None]]) -> None:
        self.model = model
        self.name = model.name
        self.aclose = model.aclose
        self._before = before
        self._what = what

    async def respond(self, request: ModelRequest) -> ModelResponse:
        if len(self.model.requests) == self._before:
            await self._what(request)
        return await self.model.respond(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ResponseStream]:
        yield WholeStream(await self.respond(request))


def call(name: str, **arguments: Any) -> Called:
    return Called(name, arguments)


def said(*calls: Called, prompt: int = 900, completion: int = 120) -> Reply:
    return Reply(calls=calls, usage=Used(prompt, completion))


def measuring(mark: Path, *, fails: str = "spring") -> list[Called]:
    """A plan of six stars, five of which run at once; one of them fails the first time."""
    stars = [
        call(
            "add_star",
            id=f"measure-{part}",
            tool="measure",
            arguments={"part": part, **({"fails_once": str(mark)} if part == fails else {})},
        )
        for part in PARTS
    ]
    found = [{"$ref": f"measure-{part}"} for part in PARTS]
    return [*stars, call("add_star", id="total", tool="add_up", arguments={"found": found})]


def plan(mark: Path, *, fails: str = "spring") -> Reply:
    return said(*measuring(mark, fails=fails), call("finish", reason="all parts at once, then the sum"), completion=400)


def retry(star: str = "measure-spring") -> Reply:
    return said(call("retry", star=star), call("finish", reason="the gauge may not slip off elsewhere"))


FINISH = call("finish", reason="so")


def remarks(events: Iterable[Event]) -> list[str]:
    """What a planner has let be known, without its accounts."""
    noted = [event.about for event in events if isinstance(event, PlannerNoted)]
    return [about for about in noted if about not in ("asked", "prompted")]
