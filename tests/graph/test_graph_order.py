"""The order of stars: how little a line moves, long chains, crowded places, and networkx as the judge of it all."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.graph import (
    AddLine,
    AddStar,
    CycleRejected,
    EditBatch,
    EditRejected,
    RemoveLine,
    StarId,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
)
from constellation.graph.documents import dump, load
from constellation.graph.invariants import check_invariants


def stars(*names: str) -> TaskConstellation:
    graph = TaskConstellation("g")
    graph.apply(EditBatch(tuple(AddStar(TaskStar(StarId(name), ToolCall("t"))) for name in names)))
    return graph


def add_lines(graph: TaskConstellation, *pairs: tuple[str, str]) -> None:
    graph.apply(EditBatch(tuple(AddLine(TaskStarLine(StarId(a), StarId(b))) for a, b in pairs)))


def chain(length: int) -> TaskConstellation:
    graph = stars(*(f"s{index}" for index in range(length)))
    add_lines(graph, *((f"s{index}", f"s{index + 1}") for index in range(length - 1)))
    return graph


def positions(graph: TaskConstellation) -> dict[StarId, int]:
    return {star: graph._order.position(graph._node(star).slot) for star in graph}


def moved(graph: TaskConstellation, source: str, target: str) -> set[str]:
    """The stars that move when a line is added."""
    before = positions(graph)
    add_lines(graph, (source, target))
    check_invariants(graph)
    return {star for star, position in positions(graph).items() if position != before[star]}


def test_only_a_new_star_moves_when_all_others_are_to_wait_for_it() -> None:
    graph = chain(200)
    graph.star("new", "t")
    assert moved(graph, "new", "s0") == {"new"}


def test_only_a_star_that_nothing_waits_for_moves_when_it_is_to_wait_for_all_others() -> None:
    graph = stars("first")
    graph.star("s0", "t")
    for index in range(1, 200):
        graph.star(f"s{index}", "t", after=[f"s{index - 1}"])
    assert moved(graph, "s199", "first") == {"first"}


def test_of_two_parts_the_smaller_one_moves() -> None:
    graph = stars(*(f"a{index}" for index in range(100)), *(f"b{index}" for index in range(5)))
    for name, length in (("a", 100), ("b", 5)):
        add_lines(graph, *((f"{name}{index}", f"{name}{index + 1}") for index in range(length - 1)))
    assert moved(graph, "b4", "a0") == {f"b{index}" for index in range(5)}


def test_a_star_of_many_lines_is_left_alone_while_the_other_side_is_small() -> None:
    graph = stars("hub", *(f"leaf{index}" for index in range(300)), "a", "b", "c")
    add_lines(graph, *(("hub", f"leaf{index}") for index in range(300)), ("a", "b"), ("b", "c"))
    assert moved(graph, "c", "hub") == {"a", "b", "c"}


@pytest.mark.parametrize("grows", ["behind", "before"])
def test_any_number_of_stars_fits_between_two(grows: str) -> None:
    graph = stars("first", "last", *(f"s{index}" for index in range(300)))
    previous = "first" if grows == "behind" else "last"
    for index in range(300):
        name = f"s{index}"
        ends = [(previous, name), (name, "last")] if grows == "behind" else [("first", name), (name, previous)]
        add_lines(graph, *ends)
        previous = name
    check_invariants(graph)
    expected = [f"s{index}" for index in (range(300) if grows == "behind" else reversed(range(300)))]
    assert [star for star in graph.in_order() if star.startswith("s")] == expected


def test_a_chain_of_any_length_is_walked_without_recursion() -> None:
    length = 5_000
    graph = stars(*(f"s{index}" for index in reversed(range(length))))
    add_lines(graph, *((f"s{index}", f"s{index + 1}") for index in range(length - 1)))
    in_order = [f"s{index}" for index in range(length)]
    assert graph.in_order() == graph.copy().in_order() == load(dump(graph)).in_order() == in_order
    assert len(graph.descendants("s0")) == length - 1
    with pytest.raises(CycleRejected) as caught:
        add_lines(graph, (f"s{length - 1}", "s0"))
    assert len(caught.value.cycle) == length
    check_invariants(graph)


def test_stars_that_do_not_wait_for_each_other_keep_the_order_in_which_they_were_added() -> None:
    graph = stars("d", "c", "b", "a")
    add_lines(graph, ("a", "c"))
    assert graph.in_order() == ["d", "a", "c", "b"]
    graph.apply(EditBatch((RemoveLine(StarId("a"), StarId("c")),)))
    assert graph.in_order() == ["d", "c", "b", "a"]


def test_the_search_for_a_name_that_may_have_been_meant_is_short() -> None:
    graph = stars(*(f"star-{index}" for index in range(2_000)))
    for known, hint in (("star-7", True), ("star-1999", False)):
        with pytest.raises(EditRejected) as caught:
            graph.apply(EditBatch((RemoveLine(StarId("x"), StarId(f"{known}x")),)))
        assert (f"did you mean {known!r}" in str(caught.value)) is hint


pairs = st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(pairs, st.booleans()), max_size=80))
def test_lines_in_any_sequence_are_taken_or_refused_as_networkx_says(steps: list[tuple[tuple[int, int], bool]]) -> None:
    graph = stars(*(f"s{index}" for index in range(15)))
    oracle: nx.DiGraph[str] = nx.DiGraph()
    oracle.add_nodes_from(graph)
    for (first, second), removes in steps:
        source, target = f"s{first}", f"s{second}"
        if oracle.has_edge(source, target):
            if removes:
                graph.apply(EditBatch((RemoveLine(StarId(source), StarId(target)),)))
                oracle.remove_edge(source, target)
        elif nx.has_path(oracle, target, source):
            with pytest.raises(CycleRejected) as caught:
                add_lines(graph, (source, target))
            cycle = caught.value.cycle
            assert (cycle[-1], cycle[0]) == (source, target)
            assert nx.is_path(oracle, list(cycle))
        else:
            add_lines(graph, (source, target))
            oracle.add_edge(source, target)
        place = {slot: index for index, slot in enumerate(graph._order)}
        assert all(place[graph._node(a).slot] < place[graph._node(b).slot] for a, b in oracle.edges)
    check_invariants(graph)
