"""A state machine that edits and runs a constellation in any order, checked from scratch after each step.

networkx is the oracle for what is a cycle and what lies downstream; a plain model of the triggers is the one for what
happens to the stars.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from constellation.graph import (
    IN_FLIGHT,
    OPEN,
    SETTLED,
    AddLine,
    AddStar,
    Applied,
    CycleRejected,
    EditBatch,
    EditRejected,
    Operation,
    Outcome,
    RemoveLine,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateLine,
    UpdateStar,
)
from constellation.graph.documents import dump, load
from constellation.graph.invariants import check_invariants

NAMES = [StarId(f"s{number}") for number in range(9)]
names = st.sampled_from(NAMES)


@st.composite
def stars(draw: st.DrawFn) -> TaskStar:
    referred = draw(st.lists(names, max_size=2, unique=True))
    return TaskStar(draw(names), ToolCall("t", {f"a{i}": {"$ref": f"{star}#/x"} for i, star in enumerate(referred)}))


@st.composite
def lines(draw: st.DrawFn) -> TaskStarLine:
    source, target = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    trigger = draw(st.sampled_from(Trigger))
    return TaskStarLine(source, target, trigger, draw(conditions) if trigger is Trigger.WHEN else None)


conditions = st.sampled_from(["output.x == 1", "output.x > 1", "output.missing"])
operations: st.SearchStrategy[Operation] = st.one_of(
    stars().map(AddStar),
    stars().map(AddStar),
    lines().map(AddLine),
    lines().map(AddLine),
    stars().map(UpdateStar),
    names.map(RemoveStar),
    lines().map(UpdateLine),
    lines().map(lambda line: RemoveLine(line.source, line.target)),
)


def everything(graph: TaskConstellation) -> Any:
    """All that a graph knows, in order: what later decisions could depend on."""
    return (
        dump(graph),
        list(graph),
        graph.lines,
        [graph.lines_into(star) for star in graph],
        graph.in_order(),
        dict(graph.counts),
        graph._next_serial,
        [(node.edited_at, node.holds, node.unresolved, node.unmet) for node in graph._nodes.values()],
        [edge.status for node in graph._nodes.values() for edge in node.inbound.values()],
    )


def from_outside(graph: TaskConstellation) -> Any:
    """All that a graph tells of itself, but for what a review keeps where it is."""
    return (
        (graph.name, graph.description, graph.version, graph.tools, len(graph), graph.settled, dict(graph.counts)),
        [(star, graph[star], graph.state(star), graph.outcome(star)) for star in graph],
        [(set(graph.lines_into(star)), graph.lines_from(star)) for star in graph],
        graph.lines,
        graph.in_order(),
    )


def from_inside(graph: TaskConstellation) -> Any:
    """What a graph knows beyond that, in a form that any way to the same graph leads to."""
    nodes = graph._nodes.values()
    return (
        graph.active,
        [(node.edited_at, node.holds, node.unresolved, node.unmet, node.references) for node in nodes],
        [(edge.line, edge.status, edge.problem) for node in nodes for edge in node.inbound.values()],
        [graph.waiting_for(star) for star in graph],
    )


def as_sets(graph: TaskConstellation) -> Any:
    return {star: graph[star] for star in graph}, set(graph.lines)


def as_networkx(graph: TaskConstellation) -> nx.DiGraph[str]:
    made: nx.DiGraph[str] = nx.DiGraph()
    made.add_nodes_from(graph)
    made.add_edges_from((line.source, line.target) for line in graph.lines)
    return made


def verdict(graph: TaskConstellation, line: TaskStarLine) -> bool | None:
    """Whether a line whose source has ended is met; None when its condition breaks."""
    state, outcome = graph.state(line.source), graph.outcome(line.source)
    assert outcome is not None
    if line.trigger is Trigger.COMPLETION:
        return True
    if line.trigger is Trigger.FAILURE:
        return state is StarState.FAILED
    if line.trigger is Trigger.SUCCESS or state is not StarState.SUCCEEDED:
        return state is StarState.SUCCEEDED
    return {"output.x == 1": outcome.output["x"] == 1, "output.x > 1": outcome.output["x"] > 1}.get(line.when or "")


class Constellations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.graph = TaskConstellation("machine")
        self.applied: Applied | None = None
        self.before: Any = None

    @initialize(count=st.integers(0, 9), joins=st.lists(lines(), max_size=12), active=st.booleans())
    def begin(self, count: int, joins: list[TaskStarLine], active: bool) -> None:
        self.graph.apply(EditBatch(tuple(AddStar(TaskStar(star, ToolCall("t"))) for star in NAMES[:count])))
        for line in joins:
            if line.source in self.graph and line.target in self.graph:
                self.try_apply(EditBatch((AddLine(line),)))
        if active:
            self.graph.activate()

    def try_apply(self, batch: EditBatch) -> Applied | None:
        before, sets = everything(self.graph), as_sets(self.graph)
        try:
            applied = self.graph.apply(batch)
        except EditRejected as error:
            assert everything(self.graph) == before
            if error.index is not None:
                assert error.operation == str(batch.operations[error.index])  # noqa: PT017  not every edit is refused
            return None
        self.applied, self.before = applied, sets
        return applied

    @rule(batch=st.lists(operations, min_size=1, max_size=5))
    def edit(self, batch: list[Operation]) -> None:
        self.try_apply(EditBatch(tuple(batch)))

    @rule(line=lines())
    def a_line_is_refused_as_a_cycle_exactly_when_networkx_finds_one(self, line: TaskStarLine) -> None:
        graph = self.graph
        if line.source not in graph or line.target not in graph or graph.state(line.target) not in OPEN:
            return
        if line.source in {into.source for into in graph.lines_into(line.target)}:
            return
        oracle = as_networkx(graph)
        closes = nx.has_path(oracle, line.target, line.source)
        if closes:
            before = everything(graph)
            with pytest.raises(CycleRejected) as caught:
                graph.apply(EditBatch((AddLine(line),)))
            cycle = caught.value.cycle
            ring = [(cycle[i - 1], cycle[i]) for i in range(len(cycle))]
            assert (line.source, line.target) in ring
            assert all(oracle.has_edge(*pair) for pair in ring if pair != (line.source, line.target))
            assert everything(graph) == before
        else:
            self.try_apply(EditBatch((AddLine(line),)))

    @rule(batch=st.lists(operations, min_size=1, max_size=4), name=names)
    def a_batch_that_fails_at_its_end_changes_nothing(self, batch: list[Operation], name: StarId) -> None:
        before = everything(self.graph)
        with pytest.raises(EditRejected):
            self.graph.apply(EditBatch((*batch, AddLine(TaskStarLine(name, StarId("nobody"))))))
        assert everything(self.graph) == before

    @precondition(lambda self: self.applied is not None)
    @rule()
    def undo(self) -> None:
        applied, before = self.applied, self.before
        assert applied is not None
        self.applied = None
        if applied.cancels:
            return
        touched = {star for star in applied.touched if star in self.graph}
        if any(self.graph.state(star) not in OPEN for star in touched):
            return
        if any(line.target in self.graph and self.graph.state(line.target) not in OPEN for line in before[1]):
            return
        self.graph.apply(EditBatch(applied.inverse.operations, base_version=applied.version))
        assert as_sets(self.graph) == before

    @rule()
    def activate(self) -> None:
        self.graph.activate()

    @precondition(lambda self: self.graph.counts[StarState.READY])
    @rule(data=st.data())
    def dispatch(self, data: st.DataObject) -> None:
        self.graph.enter(self.pick(data, {StarState.READY}), StarState.RUNNING)

    @precondition(lambda self: any(self.graph.counts[state] for state in IN_FLIGHT))
    @rule(data=st.data(), x=st.integers(1, 2), state=st.sampled_from(sorted(SETTLED - {StarState.SKIPPED})))
    def settle(self, data: st.DataObject, x: int, state: StarState) -> None:
        self.graph.settle(self.pick(data, set(IN_FLIGHT)), state, Outcome(output={"x": x}))
        self.applied = None

    @precondition(lambda self: self.graph.counts[StarState.RUNNING])
    @rule(data=st.data())
    def lose_the_attempt(self, data: st.DataObject) -> None:
        self.graph.enter(self.pick(data, {StarState.RUNNING}), StarState.READY)

    @precondition(lambda self: len(self.graph))
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        star = StarId(data.draw(st.sampled_from(sorted(self.graph))))
        self.graph.hold(star)

    @precondition(lambda self: self.graph._held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        held = sorted(star for star in self.graph if self.graph.is_held(star))
        self.graph.release(data.draw(st.sampled_from(held)))
        self.applied = None

    @rule()
    def a_document_brings_it_back(self) -> None:
        document = dump(self.graph)
        again = load(document)
        assert dump(again) == document
        assert from_outside(again) == from_outside(self.graph)
        again.activate()
        check_invariants(again)

    @rule(batch=st.lists(operations, min_size=1, max_size=5))
    def a_copy_is_what_a_document_brings_back_and_goes_its_own_way(self, batch: list[Operation]) -> None:
        graph, copy = self.graph, self.graph.copy()
        before, again = everything(graph), load(dump(graph))
        assert (from_outside(copy), from_inside(copy)) == (from_outside(again), from_inside(again))
        assert from_outside(copy) == from_outside(graph)
        copy.activate()
        again.activate()
        check_invariants(copy)
        for one in (copy, again):
            with suppress(EditRejected):
                one.apply(EditBatch(tuple(batch)))
        check_invariants(copy)
        assert (from_outside(copy), from_inside(copy)) == (from_outside(again), from_inside(again))
        assert everything(graph) == before

    @rule()
    def the_run_goes_on_in_a_copy(self) -> None:
        self.graph = self.graph.copy()
        self.graph.activate()
        self.applied = None

    def pick(self, data: st.DataObject, states: set[StarState]) -> StarId:
        return StarId(data.draw(st.sampled_from(sorted(s for s in self.graph if self.graph.state(s) in states))))

    @invariant()
    def all_that_is_kept_agrees_with_what_follows_from_the_graph(self) -> None:
        check_invariants(self.graph)

    @invariant()
    def networkx_agrees_on_order_and_descendants(self) -> None:
        oracle = as_networkx(self.graph)
        place = {star: index for index, star in enumerate(self.graph.in_order())}
        assert all(place[source] < place[target] for source, target in oracle.edges)
        assert self.graph.line_count == oracle.number_of_edges()
        for star in self.graph:
            assert self.graph.descendants(star) == nx.descendants(oracle, star)

    @invariant()
    def the_triggers_decide_what_a_star_is(self) -> None:
        graph, oracle = self.graph, as_networkx(self.graph)
        for star in graph:
            into = graph.lines_into(star)
            ended = [line for line in into if graph.state(line.source) in SETTLED]
            seen = [verdict(graph, line) for line in ended if not graph.is_held(line.source)]
            state = graph.state(star)
            if state is StarState.READY:
                assert len(ended) == len(into)
                assert all(verdict(graph, line) for line in ended)
            if state is StarState.SKIPPED:
                assert False in [verdict(graph, line) for line in ended]
            reviewed = any(graph.is_held(before) for before in nx.ancestors(oracle, star))
            if state is StarState.PENDING and graph.active and not reviewed:
                assert len(seen) < len(into)
                assert all(seen)


TestConstellations = Constellations.TestCase
TestConstellations.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
