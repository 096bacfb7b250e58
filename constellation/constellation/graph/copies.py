"""Copies of a graph: the structure their own, specs and outcomes shared, since those never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .node import Edge, Node
from .order import Order
from .star import StarId
from .states import SETTLED, StarState
from .walks import stars_in_order

if TYPE_CHECKING:
    from .constellation import TaskConstellation


def copy_into(made: TaskConstellation, graph: TaskConstellation) -> None:
    """Give a graph without stars those of another one, with their lines and what has become of both."""
    version = made.version = graph.version
    made.counts.update(graph.counts)
    made.active = graph.counts[StarState.PENDING] < len(graph)
    nodes, original = made._nodes, graph._nodes
    for star, node in original.items():
        nodes[star] = twin = Node(node.star, node.references, node.serial)
        twin.slot = node.slot
        twin.unresolved = node.unresolved
        twin.edited_at = version
        if made.active:
            twin.state = node.state
            twin.outcome = node.outcome
            twin.unmet = node.unmet
    serial = graph._next_serial
    for source, node in original.items():
        twin = nodes[source]
        outbound = twin.outbound
        for target, edge in node.outbound.items():
            behind = nodes[target]
            outbound[target] = behind.inbound[source] = Edge(twin, behind, edge.trigger, edge.when, serial)
            serial += 1
        if twin.outcome is not None:  # until its source has ended, nothing is known of a line
            for edge, copied in zip(node.outbound.values(), outbound.values(), strict=True):
                copied.status = edge.status
                copied.problem = edge.problem
    made._next_serial = serial
    made._order = graph._order.copy()
    if graph._held:
        for node, twin in zip(original.values(), nodes.values(), strict=True):
            if node.holds and node.state in SETTLED:
                made._resolve_lines(twin)


def order_nodes(nodes: Mapping[StarId, Node]) -> Order:
    """An order of nodes that have come without one; they get their slots in it."""
    order = Order()
    for star in stars_in_order(nodes):
        node = nodes[star]
        node.slot = order.append(node.serial)
        for edge in node.inbound.values():
            order.connect(edge.source.slot, node.slot)
    return order
