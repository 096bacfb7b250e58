"""The graph of the overhead benchmark: layers of a hundred, three dependencies per star, the same for everyone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.graph.analysis import layers
from constellation_bench.overhead.cases.runs import make_graph, star_id
from constellation_bench.overhead.dag import WIDTH, Dag, downstream, ends, layered
from constellation_bench.overhead.edits.lattice import LEAST_STARS, Lattice


def test_a_layer_has_a_hundred_stars_and_each_but_the_first_waits_for_three_of_the_one_before() -> None:
    dag = layered(1_000)
    assert len(dag) == 1_000
    assert all(upstream == () for upstream in dag[:WIDTH])
    for number, upstream in enumerate(dag[WIDTH:], start=WIDTH):
        assert len(set(upstream)) == 3
        assert {source // WIDTH for source in upstream} == {number // WIDTH - 1}
    assert [len(layer) for layer in layers(make_graph(dag))] == [WIDTH] * 10


@given(st.integers(1, 700), st.integers(3, 120))
def test_any_size_is_a_graph_whose_stars_wait_for_earlier_ones_only(stars: int, width: int) -> None:
    dag = layered(stars, width=width)
    assert dag == layered(stars, width=width)
    assert len(dag) == stars
    assert all(source < number for number, upstream in enumerate(dag) for source in upstream)
    assert sum(map(len, downstream(dag))) == sum(map(len, dag))
    assert set(ends(dag)) == set(range(stars)) - {source for upstream in dag for source in upstream}


def test_a_layer_of_two_has_no_three_stars_to_wait_for() -> None:
    with pytest.raises(ValueError, match="width of at least 3"):
        layered(10, width=2)


def test_our_graph_has_these_stars_and_lines_and_no_others() -> None:
    dag = layered(250)
    graph = make_graph(dag)
    assert {(line.source, line.target) for line in graph.lines} == {
        (star_id(source), star_id(number)) for number, upstream in enumerate(dag) for source in upstream
    }
    assert list(graph) == [star_id(number) for number in range(250)]


@given(st.integers(LEAST_STARS, 1_200), st.integers())
def test_lines_that_are_to_be_added_are_new_and_close_no_cycle(stars: int, seed: int) -> None:
    graph, lattice, random = make_graph(layered(stars)), Lattice(stars), Random(seed)
    version = graph.version
    for pair in (lattice.along(random), lattice.across(random), lattice.backward(random)):
        source, target = map(star_id, pair)
        graph.line(source, target)
        edit = graph.edit()
        edit.remove_line(source, target)
        graph.apply(edit.build())
    assert graph.version == version + 6


def test_the_worst_line_has_most_of_the_graph_between_its_ends_once_the_others_have_been_there() -> None:
    graph = make_graph(layered(10_000))
    *others, (late, early) = Lattice(10_000).worst(Random(1))
    for pair in others:
        source, target = map(star_id, pair)
        graph.line(source, target)  # raises when it closes a cycle, or is there already
        edit = graph.edit()
        edit.remove_line(source, target)
        graph.apply(edit.build())
    behind = graph.descendants(star_id(early)) - graph.descendants(star_id(late))
    ahead = ancestors(layered(10_000), late) - ancestors(layered(10_000), early)
    assert min(len(behind), len(ahead)) > 4_000
    first_layer, last_layer = set(range(WIDTH)), set(range(9_900, 10_000))
    assert {target for source, target in others if source == early} == first_layer - ancestors(layered(10_000), early)
    after = {int(star.removeprefix("star-")) for star in graph.descendants(star_id(late))}
    assert {source for source, target in others if target == late} == last_layer - after


def ancestors(dag: Dag, star: int) -> set[int]:
    """All stars that a star waits for, directly or through others."""
    found: set[int] = set()
    waiting = [star]
    while waiting:
        more = set(dag[waiting.pop()]) - found
        found |= more
        waiting += more
    return found


def test_a_graph_of_a_few_layers_is_too_small_to_edit() -> None:
    with pytest.raises(ValueError, match="at least 400"):
        Lattice(LEAST_STARS - 1)
