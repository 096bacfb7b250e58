"""Copies: what they share with the original, what stays with it, and what a document of it would bring back as well."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from copy import deepcopy

import pytest

from constellation.graph import (
    CycleRejected,
    EditBatch,
    EditConflict,
    InvalidDocument,
    Outcome,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    ToolCall,
    UpdateStar,
)
from constellation.graph.documents import dump, load
from constellation.graph.invariants import check_invariants

A, B = StarId("a"), StarId("b")


def double(x: int) -> int:
    return 2 * x


def pair() -> TaskConstellation:
    graph = TaskConstellation("pair", description="two", tools=("package.tools",))
    graph.line(graph.star("a", double, x=1), graph.star("b", "t"), when="output.x > 1")
    return graph


def end_first(graph: TaskConstellation, x: int) -> None:
    graph.activate()
    graph.enter(A, StarState.RUNNING)
    graph.settle(A, StarState.SUCCEEDED, Outcome({"x": x}))


def test_a_copy_shares_specs_outcomes_and_functions() -> None:
    graph = pair()
    end_first(graph, 2)
    copy = graph.copy()
    assert copy[A] is graph[A]
    assert copy.outcome("a") is graph.outcome("a")
    assert copy.functions == {"double": double}
    assert copy.functions is not graph.functions
    assert dump(copy) == dump(graph)
    assert load(dump(graph)).functions == {}


def test_a_copy_and_its_original_go_their_own_ways() -> None:
    graph = pair()
    end_first(graph, 2)
    copy = graph.copy()
    copy.enter(B, StarState.RUNNING)
    copy.star("c", "t", after=["b"])
    assert (list(graph), graph.state("b"), graph.lines_from("b")) == ([A, B], StarState.READY, [])
    graph.settle(B, StarState.CANCELLED, Outcome())
    assert copy.settle(B, StarState.SUCCEEDED, Outcome()).ready == ["c"]
    check_invariants(graph)
    check_invariants(copy)


@pytest.mark.parametrize(("x", "state"), [(2, StarState.READY), (1, StarState.SKIPPED)])
def test_reviews_stay_with_the_original(x: int, state: StarState) -> None:
    graph = pair()
    graph.hold(A)
    end_first(graph, x)
    copy = graph.copy()
    assert (copy.is_held(A), copy.waiting_for("b")) == (False, [])
    copy.activate()
    assert copy.state("b") is state
    assert graph.state("b") is StarState.PENDING
    assert dump(graph.copy()) == dump(load(dump(graph)))


def test_the_evaluation_of_conditions_stays_with_the_original() -> None:
    graph = pair()
    graph.evaluate = lambda line, output: pytest.fail("the copy asked the original")
    copy = graph.copy()
    end_first(copy, 2)
    assert copy.state("b") is StarState.READY


def test_a_batch_made_for_an_older_version_of_the_original_does_not_fit_the_copy() -> None:
    graph = pair()
    seen = graph.version
    graph.star("c", "t")
    batch = EditBatch((UpdateStar(TaskStar(A, ToolCall("other"))),), base_version=seen)
    with pytest.raises(EditConflict):
        graph.copy().apply(batch)
    with pytest.raises(EditConflict):
        load(dump(graph)).apply(batch)
    assert graph.apply(batch).version == graph.version


def test_outputs_are_written_as_json_can_hold_them() -> None:
    graph = pair()
    end_first(graph, 2)
    graph.enter(B, StarState.RUNNING)
    graph.settle(B, StarState.SUCCEEDED, Outcome({"nan": math.nan, "pair": (1, 2), 3: b"x"}, started_at=1))
    outcome = dump(graph)["records"]["b"]["outcome"]
    assert outcome == {"output": {"nan": None, "pair": [1, 2], "3": "x"}, "started_at": 1.0}


def test_a_copy_has_its_lines_in_the_order_of_a_document() -> None:
    graph = TaskConstellation("g")
    for name in "abcd":
        graph.star(name, "t")
    for source, target in (("b", "d"), ("a", "d"), ("c", "a")):
        graph.line(source, target)
    assert [line.source for line in graph.lines_into("d")] == ["b", "a"]
    for again in (graph.copy(), load(dump(graph))):
        assert [line.source for line in again.lines_into("d")] == ["a", "b"]
        assert again.lines == graph.lines
        assert again.in_order() == graph.in_order() == ["c", "a", "b", "d"]


def test_a_document_of_ready_made_stars_does_not_lose_one_whose_id_comes_twice() -> None:
    star = TaskStar(A, ToolCall("t"))
    with pytest.raises(InvalidDocument, match=r"^stars: there is a star 'a' already"):
        load({"name": "g", "stars": {"a": star, "b": star}})


@pytest.mark.parametrize("copy", [deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))], ids=["deep", "pickle"])
def test_a_graph_can_be_copied_as_any_object(copy: Callable[[TaskConstellation], TaskConstellation]) -> None:
    graph = pair()
    graph.star("c", "t", after=["b"])
    graph.star("0", "t")
    graph.line("0", "a")
    graph.apply(EditBatch((RemoveStar(B),)))
    made = copy(graph)
    check_invariants(made)
    assert (dump(made), list(made), made.in_order()) == (dump(graph), list(graph), graph.in_order())
    made.line("a", "c")
    with pytest.raises(CycleRejected, match="0 → a → c"):
        made.line("c", "0")
    check_invariants(made)
    check_invariants(graph)
