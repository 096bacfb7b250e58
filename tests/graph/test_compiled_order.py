"""The topological order in C and the one in Python: both against networkx, and what only one of them can get wrong."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from importlib import import_module
from itertools import pairwise
from math import inf
from time import process_time
from typing import Any

import networkx as nx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from constellation.graph.order import PlainOrder

COMPILED = "constellation.graph.compiled_order"

both = pytest.mark.parametrize("kind", ["plain", pytest.param("compiled", marks=pytest.mark.requires_module(COMPILED))])


def make(kind: str) -> Any:
    return PlainOrder() if kind == "plain" else import_module(COMPILED).Order()


def filled(kind: str, count: int, *lines: tuple[int, int]) -> Any:
    order = make(kind)
    slots = [order.append(serial) for serial in range(count)]
    assert slots == list(range(1, count + 1))
    for source, target in lines:
        assert order.connect(source, target)
    return order


@both
def test_stars_stand_in_the_order_in_which_they_come_until_lines_say_otherwise(kind: str) -> None:
    order = filled(kind, 4)
    assert list(order) == [1, 2, 3, 4]
    assert order.connect(4, 2)
    assert list(order).index(4) < list(order).index(2)
    assert [order.position(slot) for slot in order] == sorted(order.position(slot) for slot in order)
    assert order.targets(4) == [2]
    assert order.targets(2) == []


@both
def test_a_line_that_closes_a_cycle_changes_nothing(kind: str) -> None:
    order = filled(kind, 3, (1, 2), (2, 3))
    before = list(order), [order.position(slot) for slot in order]
    assert not order.connect(3, 1)
    assert not order.connect(2, 2)
    assert (list(order), [order.position(slot) for slot in order]) == before
    assert order.targets(3) == []


@both
def test_a_slot_is_given_again(kind: str) -> None:
    order = filled(kind, 3, (1, 2))
    with pytest.raises(ValueError, match="slot 1 has lines"):
        order.remove(1)
    with pytest.raises(ValueError, match="slot 2 has lines"):
        order.remove(2)
    order.disconnect(1, 2)
    order.remove(2)
    order.remove(1)
    assert list(order) == [3]
    assert [order.append(serial) for serial in (7, 8, 9)] == [1, 2, 4]
    assert list(order) == [3, 1, 2, 4]
    assert order.targets(1) == []


@both
def test_a_line_that_is_not_there_can_not_be_removed(kind: str) -> None:
    order = filled(kind, 3, (1, 2))
    for source, target in ((2, 1), (1, 3), (3, 3)):
        with pytest.raises(KeyError):
            order.disconnect(source, target)


@both
def test_of_the_shortest_ways_the_one_over_what_was_added_first_is_found(kind: str) -> None:
    order = make(kind)
    for serial in (1, 8, 2, 3, 4, 5, 6, 7):
        order.append(serial)
    for ends in ((1, 2), (1, 3), (2, 4), (3, 4), (4, 6), (1, 5), (5, 7), (7, 4), (3, 8)):
        assert order.connect(*ends)
    assert order.way(1, 6) == [1, 3, 4, 6]
    assert order.way(1, 1) == [1]
    for start, end in ((6, 1), (2, 8), (5, 8)):
        assert order.way(start, end) == []


@both
def test_a_copy_goes_its_own_way(kind: str) -> None:
    order = filled(kind, 3, (1, 2))
    order.remove(3)
    copy = order.copy()
    assert type(copy) is type(order)
    assert (list(copy), copy.targets(1)) == ([1, 2], [2])
    copy.disconnect(1, 2)
    assert copy.connect(2, 1)
    assert copy.append(3) == 3
    assert (list(copy), list(order)) == ([2, 1, 3], [1, 2])
    assert not order.connect(2, 1)


@both
def test_any_number_of_stars_goes_to_the_front(kind: str) -> None:
    """Each time all of them move, which carries positions away from where they began."""
    order = filled(kind, 2_001, *((slot, slot + 1) for slot in range(1, 2_000)))
    for _ in range(20):
        for ends in ((2_001, 1), (2_000, 2_001)):
            assert order.connect(*ends)
            order.disconnect(*ends)
        assert [order.position(slot) for slot in order] == sorted(order.position(slot) for slot in order)
        assert list(order) == list(range(1, 2_002))


@pytest.mark.requires_module(COMPILED)
@pytest.mark.parametrize("others", [0, 10], ids=["to the end", "to the front"])
def test_positions_do_not_wander_away_for_ever(others: int) -> None:
    """The two first stars change places, one of them moving past the other: to the end, or what has lines to the front.

    A few times on the way all positions begin anew.
    """
    lines = [(source, 3 + number) for source in (1, 2) for number in range(others)]
    order = filled("compiled", 2 + others, *lines)
    positions: list[int] = []
    for _ in range(1_000):
        for ends in ((2, 1), (1, 2)):
            assert order.connect(*ends)
            order.disconnect(*ends)
            found = [order.position(slot) for slot in order]
            assert found == sorted(set(found))
            positions.append(found[0])
    anew = sum(abs(later) < abs(earlier) for earlier, later in pairwise(positions))
    assert 1 < anew < 100
    assert max(map(abs, positions)) < 2**40


@pytest.mark.requires_module(COMPILED)
@pytest.mark.parametrize("slot", [0, -1, 4, 2**40, -(2**40), 3])
def test_a_slot_without_a_star_is_refused(slot: int) -> None:
    order = filled("compiled", 3)
    order.remove(3)
    for call in (order.position, order.targets, order.remove):
        with pytest.raises(ValueError, match=f"there is no star in slot {slot}"):
            call(slot)
    for call in (order.connect, order.disconnect, order.way):
        for arguments in ((slot, 1), (1, slot)):
            with pytest.raises(ValueError, match=f"there is no star in slot {slot}"):
                call(*arguments)
    with pytest.raises(ValueError, match=f"there is no star in slot {slot}"):
        order.heaviest_ways({1: 1.0, slot: 1.0})
    assert list(order) == [1, 2]


@pytest.mark.requires_module(COMPILED)
def test_what_is_no_slot_is_refused() -> None:
    order = filled("compiled", 2)
    with pytest.raises(TypeError):
        order.position("1")
    with pytest.raises(OverflowError):
        order.position(2**100)
    for call in (order.connect, order.disconnect, order.way):
        with pytest.raises(TypeError, match="two slots"):
            call(1)
        with pytest.raises(TypeError):
            call(1, None)
    for weights in ({True: 1.0}, {1: 1}, {"1": 1.0}, {1: 1.0, 2: None}):
        with pytest.raises(TypeError, match="floats by slots"):
            order.heaviest_ways(weights)
    with pytest.raises(TypeError, match="a dict of weights"):
        order.heaviest_ways([1.0])
    with pytest.raises(OverflowError):
        order.heaviest_ways({2**100: 1.0})
    with pytest.raises(TypeError, match="no arguments"):
        type(order)(1)
    with pytest.raises(TypeError):
        order.append("1")


@pytest.mark.requires_module(COMPILED)
@pytest.mark.parametrize("method", ["connect", "disconnect", "way"])
def test_a_slot_that_goes_while_another_is_read_is_refused(method: str) -> None:
    order = filled("compiled", 3)

    class Removes:
        def __index__(self) -> int:
            order.remove(1)
            return 2

    with pytest.raises(ValueError, match="there is no star in slot 1"):
        getattr(order, method)(1, Removes())
    assert [order.append(serial) for serial in (7, 8)] == [1, 4]
    assert order.targets(1) == []


@pytest.mark.requires_module(COMPILED)
def test_the_lines_of_a_star_are_removed_as_fast_from_the_oldest_as_from_the_newest() -> None:
    """However many there are at both their ends: removing a star takes the oldest first, rolling back the newest."""
    half = 600
    lines = [(source, half + target) for source in range(1, half + 1) for target in range(1, half + 1)]

    def seconds(*removed: tuple[int, int]) -> float:
        order = filled("compiled", 2 * half, *lines)
        began = process_time()
        for source, target in removed:
            order.disconnect(source, target)
        return process_time() - began

    assert seconds(*lines) < 6 * seconds(*reversed(lines))


@pytest.mark.requires_module(COMPILED)
def test_its_memory_is_given_back() -> None:
    def build() -> None:
        order = filled("compiled", 1_000, *((slot, slot + 1) for slot in range(1, 1_000)))
        order.copy().way(1, 1_000)
        order.heaviest_ways(dict.fromkeys(range(1, 1_001), 1.5))
        with pytest.raises(ValueError, match="slot 1001"):
            order.heaviest_ways(dict.fromkeys(range(1, 1_002), 1.5))
        list(order)

    build()
    gc.collect()
    references = sys.getrefcount(import_module(COMPILED).Order)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            build()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before > 1_000 * 64  # it is seen at all
    assert after - before < 1_000 * 200
    assert sys.getrefcount(import_module(COMPILED).Order) < references + 10  # the interpreter keeps some itself


class OrderMachine(RuleBasedStateMachine):
    """Stars and lines come and go, in an order and in a graph of networkx at once."""

    kind = "plain"

    @initialize(count=st.integers(1, 12))
    def begin(self, count: int) -> None:
        self.order = make(self.kind)
        self.oracle: nx.DiGraph[int] = nx.DiGraph()
        self.serial = 0
        for _ in range(count):
            self.add()

    @rule()
    def add(self) -> None:
        slot = self.order.append(self.serial)
        assert slot not in self.oracle
        self.oracle.add_node(slot, serial=self.serial)
        self.serial += 1

    @precondition(lambda self: len(self.oracle) > 1)
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        source, target = data.draw(st.lists(st.sampled_from(sorted(self.oracle)), min_size=2, max_size=2))
        if self.oracle.has_edge(source, target):
            return
        fits = not nx.has_path(self.oracle, target, source)
        assert self.order.connect(source, target) is fits
        if fits:
            self.oracle.add_edge(source, target)

    @precondition(lambda self: self.oracle.edges)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        source, target = data.draw(st.sampled_from(sorted(self.oracle.edges)))
        self.order.disconnect(source, target)
        self.oracle.remove_edge(source, target)

    @precondition(lambda self: len(self.oracle) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.oracle)))
        for source, target in [*self.oracle.in_edges(slot), *self.oracle.out_edges(slot)]:
            self.order.disconnect(source, target)
        self.order.remove(slot)
        self.oracle.remove_node(slot)

    @rule(keeps_copy=st.booleans())
    def copy(self, keeps_copy: bool) -> None:
        copy = self.order.copy()
        assert list(copy) == list(self.order)
        if keeps_copy:
            self.order = copy

    @precondition(lambda self: len(self.oracle) > 1)
    @rule(data=st.data())
    def ask_for_a_way(self, data: st.DataObject) -> None:
        start, end = data.draw(st.lists(st.sampled_from(sorted(self.oracle)), min_size=2, max_size=2))
        expected: list[int] = []
        if nx.has_path(self.oracle, start, end):
            serial = self.oracle.nodes(data="serial")
            expected = min(
                nx.all_shortest_paths(self.oracle, start, end), key=lambda way: [serial[slot] for slot in way]
            )
        assert self.order.way(start, end) == expected

    @rule(data=st.data())
    def weigh(self, data: st.DataObject) -> None:
        weight = st.sampled_from([0.0, 1.0, 2.0, 3.5, -inf])
        asked = data.draw(st.lists(st.sampled_from(sorted(self.oracle)), unique=True)) if self.oracle else []
        weights = {slot: data.draw(weight) for slot in asked}
        over = self.oracle.subgraph([slot for slot in self.oracle if weights.get(slot) != -inf])
        ways: nx.DiGraph[int] = nx.DiGraph((source, target) for source, target in over.edges)
        ways.add_edges_from((slot, 0) for slot in over)
        for source, _, edge in ways.edges(data=True):
            edge["weight"] = weights.get(source, 0.0)
        found = self.order.heaviest_ways(weights)
        assert found == {
            slot: nx.dag_longest_path_length(ways.subgraph({slot, *nx.descendants(ways, slot)})) if slot in over else 0
            for slot in weights
        }

    @invariant()
    def fits(self) -> None:
        if not hasattr(self, "order"):
            return
        slots = list(self.order)
        assert sorted(slots) == sorted(self.oracle)
        positions = {slot: self.order.position(slot) for slot in slots}
        assert list(positions.values()) == sorted(set(positions.values()))
        assert all(positions[source] < positions[target] for source, target in self.oracle.edges)
        for slot in slots:
            assert sorted(self.order.targets(slot)) == sorted(self.oracle.successors(slot))


class CompiledOrderMachine(OrderMachine):
    """The same for the order in C."""

    kind = "compiled"


TestPlainOrder = OrderMachine.TestCase
TestPlainOrder.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestCompiledOrder = pytest.mark.requires_module(COMPILED)(CompiledOrderMachine.TestCase)
TestCompiledOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
