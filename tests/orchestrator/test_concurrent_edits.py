"""Several who edit one run at once, each against the graph as it was when they looked."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orchestra_tools import add, wait_for

from constellation import EditBuilder, EditConflict, Orchestrator, Review, TaskConstellation
from constellation.orchestrator import events as seen
from constellation.orchestrator.run import LocalRun

pytestmark = pytest.mark.anyio


def two_regions(gate: Path) -> TaskConstellation:
    graph = TaskConstellation("two regions")
    first = graph.star("gate", "wait_for", path=str(gate))
    for region in ("east", "west"):
        graph.star(region, "add", a=1, b=1, after=[first])
    return graph


async def at_once(*edits: EditBuilder, run: LocalRun) -> list[EditConflict | None]:
    """Hand in edits from as many tasks; gives what became of each."""
    outcomes: list[EditConflict | None] = [None] * len(edits)

    async def hand_in(number: int, edit: EditBuilder) -> None:
        try:
            await run.edit(edit)
        except EditConflict as conflict:
            outcomes[number] = conflict

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number, edit in enumerate(edits):
                tasks.start_soon(hand_in, number, edit)
    return outcomes


async def test_two_who_edit_disjoint_regions_against_one_version_are_both_heard(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with Orchestrator.local(devices=1, tools=[add, wait_for]) as orchestrator:
        run = await orchestrator.submit(two_regions(gate))
        edits = []
        for region in ("east", "west"):
            edit = (await run.graph()).edit(author=region)
            edit.star(f"more {region}", "add", a=20, b=1, after=[region])
            edit.update(region, priority=3)
            edits.append(edit)
        assert edits[0].build().base_version == edits[1].build().base_version
        assert await at_once(*edits, run=run) == [None, None]
        gate.touch()
        with anyio.fail_after(30):
            assert await run.result() == {"more-east": 21, "more-west": 21}


async def test_of_two_who_edit_one_star_the_second_is_told_which_and_can_look_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with Orchestrator.local(devices=1, tools=[add, wait_for]) as orchestrator:
        run = await orchestrator.submit(two_regions(gate))
        edits = []
        for number in (5, 7):
            edit = (await run.graph()).edit()
            edit.update("east", priority=number)
            edit.star(f"from {number}", "add", a=number, b=0)
            edits.append(edit)
        (refused,) = [outcome for outcome in await at_once(*edits, run=run) if outcome is not None]
        assert refused.stars == ("east",)
        graph = await run.graph()
        (winner,) = [number for number in (5, 7) if f"from-{number}" in graph]
        assert graph["east"].priority == winner
        again = graph.edit()
        again.update("east", priority=9)
        assert await at_once(again, run=run) == [None]
        assert (await run.graph())["east"].priority == 9
        gate.touch()
        with anyio.fail_after(30):
            await run.wait()


async def test_many_who_look_again_after_a_conflict_all_get_their_edit_in(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with Orchestrator.local(devices=1, tools=[add, wait_for]) as orchestrator:
        run = await orchestrator.submit(two_regions(gate))

        async def insist(number: int) -> None:
            while True:
                graph = await run.graph()
                edit = graph.edit()
                edit.update("east", priority=graph["east"].priority + 1)
                await anyio.lowlevel.checkpoint()
                try:
                    await run.edit(edit)
                except EditConflict:
                    continue
                break

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(insist, number)
        assert (await run.graph())["east"].priority == 10
        gate.touch()
        with anyio.fail_after(30):
            await run.wait()


async def test_a_planner_whose_edit_names_what_another_has_removed_meanwhile_looks_again() -> None:
    removed = anyio.Event()
    looks: list[bool] = []

    async def planner(review: Review) -> EditBuilder | None:
        edit = review.edit()
        if review.star.id == "remover":
            edit.remove("victim")
            return edit
        if review.star.id != "builder":
            return None
        looks.append("victim" in review.graph)
        if looks[-1]:
            edit.star("more", "add", a=1, b=1, after=["victim"])
            await removed.wait()
        else:
            edit.star("instead", "add", a=2, b=2)
        return edit

    graph = TaskConstellation("removed meanwhile")
    first, last = graph.star("builder", "add", a=0, b=0), graph.star("remover", "add", a=0, b=0)
    graph.star("victim", "add", a=0, b=0, after=[first, last])
    async with Orchestrator.local(devices=1, tools=[add], planner=planner) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            events = []
            async for event in run.events():
                events.append(event)
                if isinstance(event, seen.GraphEdited) and event.removed:
                    removed.set()
            assert await run.result() == {"builder": 0, "remover": 0, "instead": 4}
    assert looks == [True, False]
    assert not [event for event in events if isinstance(event, seen.EditRefused)]


async def test_two_reviews_at_once_that_edit_disjoint_regions_both_count_and_each_star_is_looked_at_once() -> None:
    looks: list[str] = []
    both = anyio.Event()

    async def planner(review: Review) -> EditBuilder | None:
        looks.append(review.star.id)
        if review.star.id not in ("left", "right"):
            return None
        edit = review.edit(f"more of {review.star.id}")
        edit.star(f"more {review.star.id}", "add", a=1, b=2, after=[review.star.id])
        if {"left", "right"} <= set(looks):
            both.set()
        await both.wait()
        return edit

    graph = TaskConstellation("reviews")
    for side in ("left", "right"):
        graph.star(side, "add", a=0, b=0)
    async with Orchestrator.local(devices=1, tools=[add], planner=planner) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            events = [event async for event in run.events()]
            assert await run.result() == {"more-left": 3, "more-right": 3}
    assert not [event for event in events if isinstance(event, seen.EditRefused)]
    assert sorted(looks) == ["left", "more-left", "more-right", "right"]
