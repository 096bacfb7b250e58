"""An incremental topological order: every line leads from a smaller position to a larger one.

Theory of operation. Adding a line that points the right way costs nothing. For any other one, from `source` to
`target`, the stars between the two are searched from both ends in turns: forward from `target`, backward from `source`.
If the searches meet, the line would close a cycle. If one of them comes to its end, no way leads from `target` to
`source`, and what that search has found moves past the other end: to right after `source`, or right before `target`. So
a line costs what the smaller of the two searches costs, however many stars lie between its ends. Removing lines never
disturbs the order.

The two-way search is after Haeupler, Kavitha, Mathew, Sen and Tarjan, "Incremental Cycle Detection, Topological
Ordering, and Strong Component Maintenance", ACM Transactions on Algorithms 8(1), 2012. Stars are kept in a linked list
with numbers that grow along it, renumbered where there is no room between two, after Dietz and Sleator, "Two Algorithms
for Maintaining Order in a List", STOC 1987.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from .errors import CycleRejected
from .node import Node, Place
from .star import StarId

_GAP = 1 << 32
"""How far apart positions are at first: stars can be put into one place some thirty times before any is renumbered."""

_position, _serial = attrgetter("position"), attrgetter("serial")


class Order:
    """A topological order of a graph's stars."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = ends = Place()
        """What comes before the first and after the last."""
        ends.position = 0
        ends.before = ends.after = ends

    def __iter__(self) -> Iterator[Node]:
        """The stars, each after those that it waits for."""
        ends = self._ends
        place: Any = ends.after  # all but the ends are nodes
        while place is not ends:
            yield place
            place = place.after

    def append(self, node: Node) -> None:
        """Put a star without lines at the end."""
        self.extend((node,))

    def extend(self, nodes: Iterable[Node]) -> None:
        """Put stars at the end, each after those that it waits for."""
        ends = self._ends
        last = ends.before
        position = last.position
        for node in nodes:
            position += _GAP
            node.position = position
            node.before = last
            last.after = node
            last = node
        last.after = ends
        ends.before = last

    def remove(self, node: Node) -> None:
        """Take a star out."""
        node.before.after, node.after.before = node.after, node.before

    def make_room(self, source: Node, target: Node) -> None:
        """Reorder so that a line from `source` to `target` fits; the line itself is not added.

        Raises:
            CycleRejected: there is a way from `target` to `source`, which the line would close; the order is as it was.
        """
        if source.position < target.position:
            return
        found, is_behind = _search(source, target)
        nodes: list[Place] = sorted(found, key=_position)
        for place in nodes:
            place.before.after, place.after.before = place.after, place.before
        self._put_after(source if is_behind else target.before, nodes)

    def _put_after(self, place: Place, nodes: list[Place]) -> None:
        """Link stars into the list after a place, and number them and as many behind them as it takes."""
        ends = self._ends
        following = place.after
        count = len(nodes) + 1
        first = place.position if place is not ends else following.position - count * _GAP
        step = _GAP
        while following is not ends:
            room = following.position - first
            if room > count * count:
                step = room // count
                break
            nodes.append(following)
            count += 1
            following = following.after
        position, last = first, place
        for node in nodes:
            position += step
            node.position = position
            node.before = last
            last.after = node
            last = node
        last.after = following
        following.before = last


def _search(source: Node, target: Node) -> tuple[set[Node], bool]:
    """Search from both ends of a line that is not there yet, always on the side that will then have cost less.

    Each step goes on from all that the last one has found on its side, which leaves most of the work to operations of
    sets.

    Returns:
        What one side has found in full, and whether it is what lies behind the target.

    Raises:
        CycleRejected: a way leads from the target to the source.
    """
    lower, upper = target.position, source.position
    behind, ahead = {target}, {source}
    forward, backward = {target}, {source}
    forward_cost, backward_cost = len(target.outbound), len(source.inbound)
    while True:
        if forward_cost <= backward_cost:
            forward = {edge.target for node in forward for edge in node.outbound.values()} - behind
            forward = {node for node in forward if node.position <= upper}
            if not forward:
                return behind, True
            behind |= forward
            forward_cost += sum([len(node.outbound) for node in forward])
            meet = not forward.isdisjoint(ahead)
        else:
            backward = {edge.source for node in backward for edge in node.inbound.values()} - ahead
            backward = {node for node in backward if node.position >= lower}
            if not backward:
                return ahead, False
            ahead |= backward
            backward_cost += sum([len(node.inbound) for node in backward])
            meet = not backward.isdisjoint(behind)
        if meet:
            raise CycleRejected(_way(target, source))


def _way(start: Node, end: Node) -> list[StarId]:
    """The stars on a shortest way that there is from one to another."""
    came_from: dict[Node, Node | None] = {start: None}
    stars = deque([start])
    while end not in came_from:
        node = stars.popleft()
        for edge in node.outbound.values():
            found = edge.target
            if found not in came_from and found.position <= end.position:
                came_from[found] = node
                stars.append(found)
    way: list[StarId] = []
    node_on_it: Node | None = end
    while node_on_it is not None:
        way.append(node_on_it.star.id)
        node_on_it = came_from[node_on_it]
    return way[::-1]


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
            if source.star.id not in order:
                stack.append((source, _missing_sources(source, order)))
                break
        else:
            order[node.star.id] = None
            stack.pop()


def _missing_sources(node: Node, order: dict[StarId, None]) -> list[Node]:
    """The stars that a star waits for and that are not in an order yet; the one that was added first comes last."""
    missing = [edge.source for edge in node.inbound.values() if edge.source.star.id not in order]
    missing.sort(key=_serial, reverse=True)
    return missing
