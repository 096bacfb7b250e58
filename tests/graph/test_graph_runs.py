"""What becomes of stars as others end: triggers, conditions, skips, holds and the life cycle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.graph import (
    SETTLED,
    AddLine,
    EditBatch,
    IllegalTransition,
    Outcome,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStarLine,
    Trigger,
    UnknownStar,
    stars_by_state,
)
from constellation.graph.invariants import check_invariants

ENDS = sorted(SETTLED - {StarState.SKIPPED})


def end(
    graph: TaskConstellation, name: str, state: StarState = StarState.SUCCEEDED, output: object = None
) -> list[str]:
    graph.enter(StarId(name), StarState.ASSIGNED)
    graph.enter(StarId(name), StarState.RUNNING)
    changes = graph.settle(StarId(name), state, Outcome(output), at=7.0)
    check_invariants(graph)
    return [*changes.ready, *changes.settled]


def pair(trigger: str = "success", when: str | None = None) -> TaskConstellation:
    graph = TaskConstellation("pair")
    graph.line(graph.star("a", "t"), graph.star("b", "t"), trigger, when=when)
    graph.activate()
    return graph


@pytest.mark.parametrize("trigger", ["success", "failure", "completion"])
@pytest.mark.parametrize("state", ENDS)
def test_a_line_is_met_by_the_outcome_it_names(trigger: str, state: StarState) -> None:
    graph = pair(trigger)
    end(graph, "a", state)
    wanted = {"success": [StarState.SUCCEEDED], "failure": [StarState.FAILED], "completion": ENDS}[trigger]
    assert graph.state("b") is (StarState.READY if state in wanted else StarState.SKIPPED)


def test_a_completion_line_is_met_by_a_star_that_was_skipped() -> None:
    graph = pair()
    graph.line("b", graph.star("c", "t"), "completion")
    end(graph, "a", StarState.FAILED)
    assert (graph.state("b"), graph.state("c")) == (StarState.SKIPPED, StarState.READY)


@pytest.mark.parametrize(
    ("state", "trigger", "why"),
    [
        (StarState.FAILED, "success", "waits for the success of 'a', which failed"),
        (StarState.CANCELLED, "success", "waits for the success of 'a', which was cancelled"),
        (StarState.SUCCEEDED, "failure", "waits for the failure of 'a', which succeeded"),
    ],
)
def test_a_skipped_star_says_why(state: StarState, trigger: str, why: str) -> None:
    graph = pair(trigger)
    end(graph, "a", state)
    outcome = graph.outcome("b")
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message, outcome.ended_at) == ("Skipped", why, 7.0)


def test_skips_go_on_and_each_names_the_star_before_it() -> None:
    graph = pair()
    graph.line("b", graph.star("c", "t"))
    assert end(graph, "a", StarState.FAILED) == ["b", "c"]
    outcome = graph.outcome("c")
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.message == "waits for the success of 'b', which was skipped"
    assert graph.settled
    assert stars_by_state(graph) == {"failed": 1, "skipped": 2}


def test_a_fan_in_of_success_and_failure_waits_for_both() -> None:
    graph = TaskConstellation("g")
    a, b, c = graph.star("a", "t"), graph.star("b", "t"), graph.star("c", "t")
    graph.line(a, c)
    graph.line(b, c, "failure")
    graph.activate()
    assert end(graph, "a") == []
    assert graph.waiting_for("c") == ["b"]
    assert end(graph, "b", StarState.FAILED) == ["c"]
    assert graph.state("c") is StarState.READY


def test_a_fan_in_is_skipped_as_soon_as_one_line_can_not_be_met() -> None:
    graph = TaskConstellation("g")
    a, b, c = graph.star("a", "t"), graph.star("b", "t"), graph.star("c", "t")
    graph.line(a, c)
    graph.line(b, c)
    graph.activate()
    assert end(graph, "a", StarState.FAILED) == ["c"]
    assert graph.state("c") is StarState.SKIPPED
    assert end(graph, "b") == []


# --- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "output", "state"),
    [
        ("output.count > 3", {"count": 4}, StarState.READY),
        ("output.count > 3", {"count": 3}, StarState.SKIPPED),
        ("output.exists(x, x == 'é')", ["a", "é"], StarState.READY),
        ("output", True, StarState.READY),
        ("output.missing == 1", {}, StarState.FAILED),
        ("output.count > 3", {"count": "4"}, StarState.FAILED),
        ("output.count", {"count": 4}, StarState.FAILED),
        ("1 / output == 1", 0, StarState.FAILED),
        ("output.nothing == 1", None, StarState.FAILED),
    ],
)
def test_a_condition_decides_over_the_output(when: str, output: object, state: StarState) -> None:
    graph = pair(when=when)
    end(graph, "a", output=output)
    assert graph.state("b") is state


def test_a_condition_is_not_met_by_a_star_that_failed() -> None:
    graph = pair(when="true")
    end(graph, "a", StarState.FAILED)
    assert graph.state("b") is StarState.SKIPPED


def test_a_condition_that_is_not_met_or_breaks_says_so() -> None:
    graph = pair(when="output > 1")
    end(graph, "a", output=1)
    outcome = graph.outcome("b")
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.message == "'a' succeeded, but its output does not meet the condition output > 1"
    graph = pair(when="output.x")
    end(graph, "a", output={"x": "yes"})
    outcome = graph.outcome("b")
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.type == "ConditionError"
    assert outcome.error.message == "line 'a' → 'b': the condition 'output.x' gives str, not true or false"


def test_who_runs_a_graph_may_evaluate_its_conditions() -> None:
    graph = pair(when="output > 1")
    graph.evaluate = lambda line, output: line.when == "output > 1" and output == 0
    end(graph, "a", output=0)
    assert graph.state("b") is StarState.READY


# --- holds -----------------------------------------------------------------------------------------------------------


@st.composite
def dags(draw: st.DrawFn) -> TaskConstellation:
    graph = TaskConstellation("dag")
    count = draw(st.integers(2, 8))
    stars = [graph.star(f"s{index}", "t") for index in range(count)]
    for source in range(count):
        for target in range(source + 1, count):
            if draw(st.booleans()):
                graph.line(stars[source], stars[target], draw(st.sampled_from(["success", "failure", "completion"])))
    graph.activate()
    return graph


@settings(max_examples=80, deadline=None)
@given(graph=dags(), data=st.data())
def test_a_hold_keeps_all_descendants_and_nothing_else(graph: TaskConstellation, data: st.DataObject) -> None:
    free = TaskConstellation("same")
    for star in graph:
        free.star(star, "t")
    free.apply(EditBatch(tuple(map(AddLine, graph.lines))))
    free.activate()
    held = StarId(data.draw(st.sampled_from(sorted(graph))))
    graph.hold(held)
    behind = graph.descendants(held)
    ends = {star: data.draw(st.sampled_from(ENDS)) for star in graph}
    for each in (graph, free):
        while ready := [star for star in each if each.state(star) is StarState.READY]:
            end(each, ready[0], ends[ready[0]])
            assert each is free or all(graph.state(star) is StarState.PENDING for star in behind)
    assert all(graph.state(star) is free.state(star) for star in graph if star not in behind)
    graph.release(held)
    while ready := [star for star in graph if graph.state(star) is StarState.READY]:
        end(graph, ready[0], ends[ready[0]])
    assert [graph.state(star) for star in graph] == [free.state(star) for star in free]


def test_holds_add_up() -> None:
    graph = pair()
    graph.hold(StarId("a"))
    graph.hold(StarId("a"))
    end(graph, "a")
    assert graph.release(StarId("a")).ready == []
    assert graph.is_held(StarId("a"))
    assert graph.release(StarId("a")).ready == ["b"]
    with pytest.raises(IllegalTransition, match="star 'a' can't go from not held to released"):
        graph.release(StarId("a"))


def test_a_star_waits_until_every_review_before_it_has_ended() -> None:
    graph = TaskConstellation("g")
    a, b = graph.star("a", "t"), graph.star("b", "t")
    graph.star("c", "t", after=[a, b])
    graph.activate()
    graph.hold(a.id)
    graph.hold(b.id)
    end(graph, "a")
    end(graph, "b")
    assert graph.release(a.id).ready == []
    check_invariants(graph)
    assert graph.release(b.id).ready == ["c"]


def test_a_release_before_the_star_has_ended_moves_nothing() -> None:
    graph = pair()
    graph.hold(StarId("a"))
    changes = graph.release(StarId("a"))
    assert (changes.ready, changes.settled) == ([], [])
    assert end(graph, "a") == ["b"]


def behind_a_review() -> TaskConstellation:
    """x fails, so d can never run; but it is also behind a, by way of b."""
    graph = TaskConstellation("g")
    a, x = graph.star("a", "t"), graph.star("x", "t")
    graph.star("d", "t", after=[graph.star("b", "t", after=[a]), x])
    graph.activate()
    graph.hold(a.id)
    end(graph, "x", StarState.FAILED)
    assert graph.state("d") is StarState.PENDING
    return graph


def test_a_hold_far_before_a_star_keeps_it_from_being_skipped() -> None:
    graph = behind_a_review()
    assert graph.release(StarId("a")).settled == ["d"]
    check_invariants(graph)


def test_a_star_that_was_kept_is_skipped_when_an_edit_takes_it_from_behind_the_hold() -> None:
    graph = behind_a_review()
    assert graph.apply(EditBatch((RemoveStar(StarId("a")),))).changes.settled == ["d"]
    check_invariants(graph)


def test_a_star_that_was_kept_may_be_removed_meanwhile() -> None:
    graph = behind_a_review()
    graph.apply(EditBatch((RemoveStar(StarId("d")),)))
    assert graph.release(StarId("a")).settled == []
    check_invariants(graph)


def test_a_skip_is_kept_by_a_hold_on_the_skipped_star() -> None:
    graph = pair()
    graph.line("b", graph.star("c", "t"), "completion")
    graph.hold(StarId("b"))
    end(graph, "a", StarState.FAILED)
    assert graph.state("c") is StarState.PENDING
    assert graph.release(StarId("b")).ready == ["c"]


def test_a_line_added_behind_a_review_is_open() -> None:
    graph = TaskConstellation("g")
    graph.star("a", "t")
    graph.star("b", "t")
    graph.activate()
    graph.hold(StarId("a"))
    end(graph, "a")
    graph.apply(EditBatch((AddLine(TaskStarLine(StarId("a"), StarId("b"))),)))
    assert graph.state("b") is StarState.PENDING
    assert graph.release(StarId("a")).ready == ["b"]


# --- the life cycle --------------------------------------------------------------------------------------------------


def test_nothing_moves_before_activation() -> None:
    graph = TaskConstellation("g")
    graph.line(graph.star("a", "t"), graph.star("b", "t"), Trigger.COMPLETION)
    changes = graph.settle(StarId("a"), StarState.CANCELLED, Outcome())
    assert (changes.ready, changes.settled, graph.state("b")) == ([], [], StarState.PENDING)
    assert graph.activate().ready == ["b"]


def test_stars_become_ready_in_the_order_in_which_they_were_added() -> None:
    graph = TaskConstellation("g")
    for name in "cab":
        graph.star(name, "t")
    assert graph.activate().ready == ["c", "a", "b"]


@pytest.mark.parametrize("held", [False, True])
def test_stars_behind_one_star_become_ready_in_the_order_in_which_their_lines_were_added(held: bool) -> None:
    graph = TaskConstellation("g")
    first = graph.star("first", "t")
    for name in "cab":
        graph.star(name, "t", after=[first])
    assert graph.activate().ready == ["first"]
    if held:
        graph.hold(first.id)
    graph.enter(first.id, StarState.RUNNING)
    changes = graph.settle(first.id, StarState.SUCCEEDED, Outcome())
    assert (graph.release(first.id) if held else changes).ready == ["c", "a", "b"]


def test_a_lost_attempt_makes_a_star_ready_again() -> None:
    graph = pair()
    graph.enter(StarId("a"), StarState.RUNNING)
    graph.enter(StarId("a"), StarState.READY)
    assert end(graph, "a") == ["b"]


def test_a_star_that_has_ended_stays_so() -> None:
    graph = pair()
    end(graph, "a")
    with pytest.raises(IllegalTransition, match="star 'a' can't go from succeeded to failed"):
        graph.settle(StarId("a"), StarState.FAILED, Outcome())
    with pytest.raises(IllegalTransition, match="star 'b' can't go from ready to succeeded"):
        graph.settle(StarId("b"), StarState.SUCCEEDED, Outcome())


def test_an_unknown_star_is_named_with_one_that_is_close() -> None:
    graph = TaskConstellation("g")
    graph.star("merge", "t")
    with pytest.raises(UnknownStar, match=r"^there is no star 'mrege'; did you mean 'merge'\?$"):
        graph["mrege"]
    with pytest.raises(UnknownStar, match=r"^there is no star 'x'$"):
        TaskConstellation("g").state("x")


def test_looking_at_a_graph() -> None:
    graph = pair()
    assert (len(graph), "a" in graph, "q" in graph, list(graph)) == (2, True, False, ["a", "b"])
    line = TaskStarLine(StarId("a"), StarId("b"))
    assert graph.lines_from("a") == graph.lines_into("b") == [line]
    assert not graph.settled
    assert graph.outcome("a") is None
