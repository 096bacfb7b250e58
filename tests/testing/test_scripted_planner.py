"""A planner that follows a script, in a simulated world and in an orchestrator."""

from __future__ import annotations

from typing import Any

import pytest

from constellation import Orchestrator, Review, TaskConstellation
from constellation.testing import FakeDevice, Faults, ScriptedPlanner, SimulatedWorld, UnexpectedStep, UnusedSteps


def two_stars() -> TaskConstellation:
    graph = TaskConstellation("two")
    graph.star("a", "pure", id="a")
    graph.star("b", "pure", id="b", after=["a"])
    return graph


def add_c(review: Review) -> Any:
    edit = review.edit("more to do")
    edit.star("c", "pure", id="c", after=[review.star.id])
    return edit


def run(planner: ScriptedPlanner) -> SimulatedWorld:
    world = SimulatedWorld(1, graph=two_stars(), devices=[FakeDevice("d")], planner=planner, faults=Faults.none())
    return world.run()


def test_each_step_answers_the_review_that_it_names() -> None:
    with ScriptedPlanner([("a", add_c), ("c", None), ("b", None)]) as planner:
        world = run(planner)
    assert world.state == "succeeded"
    assert set(world.outcomes) == {"a", "b", "c"}


def test_a_step_that_was_not_asked_for_is_an_error_in_the_end() -> None:
    planner = ScriptedPlanner([("a", None), ("b", None), ("z", None)])
    with pytest.raises(UnusedSteps, match="no review came of 'z'"), planner:
        run(planner)
    assert planner.remaining == ("z",)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [([("b", None)], "'a' was put up for review, but the script has 'b' next"), ([], "at its end")],
)
def test_a_review_that_the_script_does_not_have_next_is_an_error_in_the_end(steps: list[Any], problem: str) -> None:
    planner = ScriptedPlanner(steps)
    assert run(planner).state == "succeeded"
    with pytest.raises(UnexpectedStep, match=problem):
        planner.check_used_up()


def test_an_answer_that_is_no_edit_is_an_error() -> None:
    planner = ScriptedPlanner([("a", lambda review: "do it")])  # type: ignore[dict-item, list-item]
    run(planner)
    with pytest.raises(UnexpectedStep, match="the script answered 'do it' for 'a'"):
        planner.check_used_up()


def test_a_failure_of_the_test_itself_is_not_hidden_by_steps_that_are_left() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedPlanner([("a", None)]):
        raise ZeroDivisionError


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@pytest.mark.anyio
async def test_an_orchestrator_takes_a_scripted_planner() -> None:
    graph = TaskConstellation("two")
    graph.star("a", double, id="a", arguments={"n": 2})
    with ScriptedPlanner([("a", None)]) as planner:
        async with Orchestrator.local(1, planner=planner) as orchestrator:
            report = await (await orchestrator.submit(graph)).wait()
    assert report.outputs == {"a": 4}
