"""Copies of a graph: the structure their own, specs and outcomes shared, since those never change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .node import Edge, Node
from .states import SETTLED, StarState

if TYPE_CHECKING:
    from .constellation import TaskConstellation


def copy_into(made: TaskConstellation, graph: TaskConstellation) -> None:
    """Give a graph without stars those of another one, with their lines and what has become of both."""
    version = made.version = graph.version
    made._next_serial = graph._next_serial
    made.counts.update(graph.counts)
    made.active = graph.counts[StarState.PENDING] < len(graph)
    nodes, original = made._nodes, graph._nodes
    for star, node in original.items():
        nodes[star] = twin = Node(node.star, node.references, node.serial)
        twin.state = node.state
        twin.outcome = node.outcome
        twin.unresolved = node.unresolved
        twin.unmet = node.unmet
        twin.edited_at = version
    for node, twin in zip(original.values(), nodes.values(), strict=True):
        outbound = twin.outbound
        for target, edge in node.outbound.items():
            outbound[target] = copied = Edge(edge.line, twin, nodes[target], edge.serial)
            copied.status = edge.status
            copied.problem = edge.problem
    # At both of its ends a line stands among others in the order of time: the inbound ones can't be linked in passing.
    for star, node in original.items():
        inbound = nodes[star].inbound
        for source in node.inbound:
            inbound[source] = nodes[source].outbound[star]
    for node in graph._order:
        made._order.append(nodes[node.star.id])
    if graph._held:
        for node, twin in zip(original.values(), nodes.values(), strict=True):
            if node.holds and node.state in SETTLED:
                made._resolve_lines(twin)
