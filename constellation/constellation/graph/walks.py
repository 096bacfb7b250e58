"""Walks over the nodes of a graph: all of them in order, and a shortest way from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from .node import Node
from .order import Order
from .star import StarId

_serial = attrgetter("serial")


def shortest_way(order: Order, start: Node, end: Node) -> list[StarId]:
    """The stars on a shortest way that there is from one to another."""
    way, node = [start.id], start
    for slot in order.way(start.slot, end.slot)[1:]:
        node = next(edge.target for edge in node.outbound.values() if edge.target.slot == slot)
        way.append(node.id)
    return way


def stars_in_order(nodes: Mapping[StarId, Node]) -> list[StarId]:
    """The stars of a graph, each after those that it waits for and else in the order in which they were added.

    Unlike an `Order`, which shows what was once between the stars, it follows from the stars and lines alone.
    """
    order: dict[StarId, None] = {}
    for star, node in nodes.items():
        if star not in order:
            _append_with_sources(node, order)
    return list(order)


def _append_with_sources(node: Node, order: dict[StarId, None]) -> None:
    """Append a star, after those before it that are missing; without recursion, since a chain may be of any length."""
    stack = [(node, _missing_sources(node, order))]
    while stack:
        node, missing = stack[-1]
        while missing:
            source = missing.pop()
            if source.id not in order:
                stack.append((source, _missing_sources(source, order)))
                break
        else:
            order[node.id] = None
            stack.pop()


def _missing_sources(node: Node, order: dict[StarId, None]) -> list[Node]:
    """The stars that a star waits for and that are not in an order yet; the one that was added first comes last."""
    missing = [edge.source for edge in node.inbound.values() if edge.source.id not in order]
    missing.sort(key=_serial, reverse=True)
    return missing
