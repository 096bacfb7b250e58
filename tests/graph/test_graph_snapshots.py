"""Snapshots, and the collector: what was taken belongs to nobody else, and garbage is still found afterwards."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from constellation.graph import AddStar, EditBatch, Nested, StarId, TaskConstellation, TaskStar, ToolCall
from constellation.graph.collector import no_collections
from constellation.graph.documents import dump, load
from constellation.graph.node import Node
from constellation.graph.snapshot import Snapshot, owned


def graph_of(star: TaskStar) -> TaskConstellation:
    graph = TaskConstellation("one")
    graph.apply(EditBatch((AddStar(star),)))
    return graph


@pytest.mark.parametrize("filled", [False, True])
def test_what_a_caller_does_to_its_arguments_later_changes_no_snapshot(filled: bool) -> None:
    arguments: dict[str, Any] = {"x": [1]} if filled else {}
    requires: dict[str, Any] = {"gpu": 1} if filled else {}
    snapshot = Snapshot(graph_of(TaskStar(StarId("a"), ToolCall("t", arguments), requires=requires)))
    before = dump(snapshot.graph())
    arguments["y"] = 2
    requires["cpu"] = 3
    if filled:
        arguments["x"].append(2)
    assert dump(snapshot.graph()) == before == snapshot.document()


def test_nor_does_it_change_a_batch_that_is_owned_or_a_document_that_is_nested() -> None:
    arguments, document = {"x": [1]}, dump(graph_of(TaskStar(StarId("in"), ToolCall("t"))))
    batch = owned(
        EditBatch(
            (
                AddStar(TaskStar(StarId("a"), ToolCall("t", arguments))),
                AddStar(TaskStar(StarId("b"), Nested(document))),
            )
        )
    )
    arguments["x"].append(2)
    document["name"] = "another"
    graph = TaskConstellation("g")
    graph.apply(batch)
    assert graph["a"].work.arguments == {"x": [1]}
    assert graph["b"].work.constellation["name"] == "one"  # type: ignore[union-attr]


def test_a_snapshot_is_a_document_like_any_other_and_can_be_loaded_again_and_again() -> None:
    graph = graph_of(TaskStar(StarId("a"), ToolCall("t", {"x": 1})))
    snapshot = Snapshot(graph)
    assert dict(snapshot) == dump(graph)
    assert len(snapshot) == len(dump(graph))
    assert [dump(load(snapshot)) for _ in range(3)] == [dump(graph)] * 3


def test_a_snapshot_for_one_graph_says_so_when_more_is_wanted() -> None:
    snapshot = Snapshot(graph_of(TaskStar(StarId("a"), ToolCall("t"))), once=True)
    assert list(snapshot.graph()) == ["a"]
    with pytest.raises(RuntimeError, match="good for one graph"):
        snapshot.document()


def test_graphs_that_are_let_go_are_collected_while_others_are_copied() -> None:
    graph = TaskConstellation("long")
    for number in range(60):
        graph.star(f"s{number}", "t", after=[f"s{number - 1}"] if number else ())
    gc.collect()
    assert gc.isenabled()
    for _ in range(1_000):
        graph.copy()
    alive = sum(type(found) is Node for found in gc.get_objects())
    assert alive < 30_000, "of 60,000 stars in copies that nobody has any more"


def test_garbage_among_what_counts_as_old_is_still_found() -> None:
    graph = TaskConstellation("long")
    for number in range(60):
        graph.star(f"s{number}", "t")
    gc.collect()
    before = sum(type(found) is Node for found in gc.get_objects())
    with no_collections(then_old=True):
        copies = [graph.copy() for _ in range(50)]
    assert gc.get_freeze_count() == 0
    assert sum(type(found) is Node for found in gc.get_objects(generation=2)) == before + 3_000
    del copies
    gc.collect()
    assert sum(type(found) is Node for found in gc.get_objects()) == before


def test_graphs_that_are_let_go_are_collected_though_each_counted_as_old() -> None:
    graph = TaskConstellation("long")
    for number in range(60):
        graph.star(f"s{number}", "t", after=[f"s{number - 1}"] if number else ())
    gc.collect()
    assert gc.isenabled()
    for _ in range(1_000):
        with no_collections(then_old=True):
            graph.copy()
    alive = sum(type(found) is Node for found in gc.get_objects())
    assert alive < 30_000, "of 60,000 stars in copies that nobody has any more"


def test_what_somebody_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with no_collections(then_old=True):
            pass
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()


def test_a_program_that_collects_by_itself_keeps_doing_so() -> None:
    graph = graph_of(TaskStar(StarId("a"), ToolCall("t")))
    gc.disable()
    try:
        with no_collections(then_old=True):
            graph.copy()
        assert not gc.isenabled()
    finally:
        gc.enable()
