"""Questions inside nested constellations: whoever follows the run around them sees them, and may answer there."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orchestra_tools import add

from constellation import Approval, Orchestrator, RunFailed, TaskConstellation
from constellation.console.view_model import RunView
from constellation.orchestrator import events as seen
from constellation.orchestrator.events import Event
from constellation.scheduling import NotWaiting

pytestmark = pytest.mark.anyio


def two_deep(**fields: object) -> TaskConstellation:
    deepest, middle, outer = (TaskConstellation(name) for name in ("deepest", "middle", "outer"))
    deepest.star("ask", Approval("Go on?"), **fields)  # type: ignore[arg-type]
    deepest.star("act", "add", a=1, b=1, after=["ask"])
    middle.star("m", deepest)
    outer.star("n", middle)
    outer.star("beside", "add", a=0, b=0)
    return outer


async def test_a_question_two_levels_down_is_asked_and_answered_in_the_run_around_it() -> None:
    events: list[Event] = []
    view = RunView()
    async with Orchestrator.local(devices=1, tools=[add]) as orchestrator:
        run = await orchestrator.submit(two_deep())
        with anyio.fail_after(30):
            async for event in run.events():
                events.append(event)
                view.apply(event)
                if isinstance(event, seen.ApprovalRequested):
                    assert (event.star, event.question, view.questions) == ("n/m/ask", "Go on?", {"n/m/ask": "Go on?"})
                    await run.approve(event.star, True, by="ann")
            assert await run.result() == {"n": {"m": {"act": 2}}, "beside": 0}
        with pytest.raises(NotWaiting, match="n/m/ask"):
            await run.approve("n/m/ask")
    ends = [event.star for event in events if isinstance(event, seen.StarSettled)]
    assert sorted(ends) == ["beside", "n", "n/m/ask"]
    assert (view.questions, view.counts["succeeded"], view.total) == ({}, 2, 2)


async def test_a_question_inside_is_gone_when_nobody_answers_it_in_time() -> None:
    async with Orchestrator.local(devices=1, tools=[add]) as orchestrator:
        run = await orchestrator.submit(two_deep(timeout_s=0.05))
        with anyio.fail_after(30):
            events = [event async for event in run.events()]
            with pytest.raises(RunFailed, match="nobody answered within"):
                await run.result()
    (end,) = [event for event in events if isinstance(event, seen.StarSettled) and event.star == "n/m/ask"]
    assert (end.state, (end.error or {})["type"]) == ("failed", "ApprovalTimedOut")


@pytest.mark.parametrize("path", ["n/m/nobody", "n/nobody/ask", "nobody/m/ask", "beside/ask", "ask", "n//ask", ""])
async def test_an_answer_to_nothing_inside_is_refused(path: str) -> None:
    async with Orchestrator.local(devices=1, tools=[add]) as orchestrator:
        run = await orchestrator.submit(two_deep())
        with pytest.raises(NotWaiting, match=f"star '{path}' is not waiting|star '{path.rpartition('/')[2]}' is not"):
            await run.approve(path)
        await run.cancel()
        with anyio.fail_after(30):
            await run.wait()


async def test_a_client_of_a_hub_answers_a_question_inside() -> None:
    graph = TaskConstellation("outer")
    inner = TaskConstellation("inner")
    inner.star("ask", Approval("Go on?"))
    graph.star("n", inner)
    async with Orchestrator.serve(journal=":memory:") as hub, Orchestrator.connect(hub.url, hub.token) as client:
        run = await client.submit(graph)
        with anyio.fail_after(30):
            async for event in run.events():
                if isinstance(event, seen.ApprovalRequested):
                    await run.approve(event.star, False)
            with pytest.raises(RunFailed, match="denied"):
                await run.result()
