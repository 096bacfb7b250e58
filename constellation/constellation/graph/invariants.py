"""What must hold of every constellation at all times, recomputed from scratch: for tests and for validating runs."""

from __future__ import annotations

from collections import Counter
from typing import NoReturn

from .constellation import TaskConstellation
from .node import Edge, LineStatus, Node
from .references import find_references
from .states import IN_FLIGHT, SETTLED, StarState


def check_invariants(graph: TaskConstellation) -> None:
    """Compare all that the graph keeps up to date by increments with what follows from its stars and lines.

    It walks the whole graph several times.

    Raises:
        AssertionError: something differs; the message says what.
    """
    nodes = graph._nodes
    counts = Counter(node.state for node in nodes.values())
    _same("counts", None, graph.counts, {state: counts[state] for state in StarState})
    _same("held", None, graph._held, sum(node.holds for node in nodes.values()))
    _check_order(graph)
    for star, node in nodes.items():
        _same("key of", star, (node.id, node.star.id), (star, star))
        _check_links(graph, node)
        _check_counters(node)
        _check_state(node, active=graph.active)
        _same("references of", star, node.references, find_references(node.star.work.arguments))
        for reference in node.references:
            if reference.star not in node.inbound:
                _fail(f"{star!r} refers to {reference.star!r} without a line")
        if not 0 <= node.edited_at <= graph.version:
            _fail(f"{star!r} was edited at {node.edited_at} of {graph.version}")


def _check_order(graph: TaskConstellation) -> None:
    # That positions grow along every line is the proof that there is no cycle.
    nodes = graph._nodes
    order = graph._order
    slots = list(order)
    _same("the stars in the order", None, sorted(slots), sorted(node.slot for node in nodes.values()))
    positions = {slot: order.position(slot) for slot in slots}
    _same("positions in the order", None, list(positions.values()), sorted(set(positions.values())))
    for star, node in nodes.items():
        targets = sorted(edge.target.slot for edge in node.outbound.values())
        _same("what the order has behind", star, sorted(order.targets(node.slot)), targets)
        for edge in node.outbound.values():
            if positions[node.slot] >= positions[edge.target.slot]:
                _fail(f"the order has {edge.line} backwards")
    in_time = [node.serial for node in nodes.values()]
    _same("serials in the order of the stars", None, in_time, sorted(in_time))
    last = max((edge.serial for node in nodes.values() for edge in node.outbound.values()), default=-1)
    if max([last, *in_time]) >= graph._next_serial:
        _fail("the next serial has been used")


def _check_links(graph: TaskConstellation, node: Node) -> None:
    star = node.id
    for source, edge in node.inbound.items():
        _same("source of", edge.line, edge.source, graph._nodes.get(source))
        if edge.source.outbound.get(star) is not edge:
            _fail(f"{edge.line} is not known to its source")
    for target, edge in node.outbound.items():
        _same("target of", edge.line, edge.target, graph._nodes.get(target))
        if edge.target.inbound.get(star) is not edge:
            _fail(f"{edge.line} is not known to its target")
    for entries in (node.inbound, node.outbound):
        serials = [edge.serial for edge in entries.values()]
        _same("serials of the lines of", star, serials, sorted(serials))


def _check_counters(node: Node) -> None:
    star, status = node.id, Counter(edge.status for edge in node.inbound.values())
    _same("unresolved of", star, node.unresolved, status[LineStatus.OPEN])
    _same("unmet of", star, node.unmet, status[LineStatus.UNMET] + status[LineStatus.BROKEN])
    for edge in node.inbound.values():
        _check_status(edge)


def _check_status(edge: Edge) -> None:
    ended = edge.source.state in SETTLED
    if edge.status is LineStatus.OPEN:
        if ended and not edge.source.holds:
            _fail(f"{edge.line} is open, but its source has {edge.source.state.value}")
    elif not ended:
        _fail(f"{edge.line} is {edge.status.value}, but its source is {edge.source.state.value}")


def _check_state(node: Node, *, active: bool) -> None:
    star, state = node.id, node.state
    _same("whether there is an outcome of", star, node.outcome is not None, state in SETTLED)
    met = not node.unresolved and not node.unmet
    if state is StarState.PENDING:
        stuck = active and (met or node.unmet) and not _is_behind_a_hold(node)
        if stuck:
            _fail(f"{star!r} is pending with {node.unresolved} lines open and {node.unmet} unmet")
    elif (state is StarState.READY or state in IN_FLIGHT or state is StarState.SUCCEEDED) and not met:
        _fail(f"{star!r} is {state.value} with {node.unresolved} lines open and {node.unmet} unmet")


def _is_behind_a_hold(node: Node) -> bool:
    seen, stack = {node}, [node]
    while stack:
        for edge in stack.pop().inbound.values():
            if edge.source.holds:
                return True
            if edge.status is LineStatus.OPEN and edge.source not in seen:
                seen.add(edge.source)
                stack.append(edge.source)
    return False


def _same(what: str, subject: object, kept: object, recomputed: object) -> None:
    # The message is made only when there is something to say: this is called a hundred times for every event of a run.
    if kept != recomputed:
        about = what if subject is None else f"{what} {subject!r}"
        _fail(f"{about}: the graph has {kept}, and it should be {recomputed}")


def _fail(problem: str) -> NoReturn:
    raise AssertionError(problem)
