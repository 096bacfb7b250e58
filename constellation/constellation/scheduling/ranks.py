"""Upward ranks: how long the longest way from a star to the end of its graph takes.

Starting the star with the highest rank first is the list-scheduling half of HEFT (Topcuoglu, Hariri and Wu,
"Performance-effective and low-complexity task scheduling for heterogeneous computing", IEEE TPDS 13(3), 2002).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from math import inf

from ..graph import OPEN, AddLine, Applied, RemoveLine, StarId, TaskConstellation
from ..graph.node import Node
from .durations import Durations, work_key


class Ranks:
    """The upward ranks of one graph's stars, in expected seconds; kept up to date as the graph is edited.

    Attributes:
        known: The rank of each star; to be read only.
    """

    def __init__(self, graph: TaskConstellation, durations: Durations) -> None:
        self._graph = graph
        self._durations = durations
        nodes = graph._nodes
        expected_s: dict[str, float] = {}
        weights: dict[int, float] = {}
        for node in nodes.values():
            if node.outcome is not None:
                weights[node.slot] = -inf  # what has ended is not waited for any more
                continue
            work = work_key(node.star)
            if work not in expected_s:
                expected_s[work] = durations.expected(work)
            weights[node.slot] = expected_s[work]
        ways = graph._order.heaviest_ways(weights)
        self.known: dict[StarId, float] = {star: ways[node.slot] for star, node in nodes.items()}

    def follow(self, applied: Applied) -> None:
        """Take in an edit: forget what it removed, and recompute what it touched and both ends of its lines."""
        for star in applied.removed:
            self.known.pop(star, None)
        stars = set(applied.touched)
        for operation in applied.inverse.operations:
            if isinstance(operation, AddLine):
                stars.add(operation.line.source)
            elif isinstance(operation, RemoveLine):
                stars.add(operation.source)
        self._update(star for star in stars if star in self._graph and self._graph.state(star) in OPEN)

    def _update(self, stars: Iterable[StarId]) -> None:
        """Recompute ranks, and on upwards for as long as they change; each star once, after all those behind it."""
        position = self._graph._order.position
        nodes = {position(node.slot): node for node in map(self._graph._node, stars)}
        heap = [-position for position in nodes]
        heapify(heap)
        while heap:
            node = nodes.pop(-heappop(heap))
            rank = self._compute(node)
            if self.known.get(node.star.id) != rank:
                self.known[node.star.id] = rank
                for edge in node.inbound.values():
                    source = edge.source
                    if source.state in OPEN and (place := position(source.slot)) not in nodes:
                        nodes[place] = source
                        heappush(heap, -place)

    def _compute(self, node: Node) -> float:
        known = self.known
        waiting = [known[star] for star, edge in node.outbound.items() if edge.target.outcome is None]
        behind = max(waiting, default=0.0)
        return behind + self._durations.expected(work_key(node.star))
