"""An incremental topological order: every line leads from a smaller position to a larger one.

Adding a line that already points the right way costs nothing. Another one moves only the stars between its ends
that are connected to them, after Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic
Graphs", ACM Journal of Experimental Algorithmics 11 (2006). Removing lines never disturbs the order.
"""

from __future__ import annotations

from .errors import CycleRejected
from .node import Node
from .star import StarId

Moves = list[tuple[Node, int]]
"""Stars that were moved, each with the position that it had before."""


def make_room(source: Node, target: Node) -> Moves:
    """Reorder so that a line from `source` to `target` fits; the line itself is not added.

    Raises:
        CycleRejected: there is a way from `target` to `source`, which the line would close; the order is as it was.
    """
    if target.position > source.position:
        return []
    behind = _reach_forward(target, source)
    ahead = _reach_backward(source, target.position)
    return _reassign(ahead, behind)


def move_back(moves: Moves) -> None:
    """Take back what `make_room` did, when nothing has moved since."""
    for node, position in moves:
        node.position = position


def _reach_forward(start: Node, goal: Node) -> list[Node]:
    """The nodes that can be reached from `start` before `goal`'s position; raises CycleRejected on reaching `goal`."""
    upper = goal.position
    came_from: dict[Node, Node | None] = {start: None}
    stack = [start]
    while stack:
        node = stack.pop()
        for edge in node.outbound.values():
            following = edge.target
            if following is goal:
                raise CycleRejected([*_path(node, came_from), goal.star.id])
            if following.position < upper and following not in came_from:
                came_from[following] = node
                stack.append(following)
    return list(came_from)


def _reach_backward(start: Node, lower: int) -> list[Node]:
    """The nodes from which `start` can be reached and that lie behind position `lower`."""
    seen = {start}
    stack = [start]
    while stack:
        for edge in stack.pop().inbound.values():
            preceding = edge.source
            if preceding.position > lower and preceding not in seen:
                seen.add(preceding)
                stack.append(preceding)
    return list(seen)


def _reassign(ahead: list[Node], behind: list[Node]) -> Moves:
    """Give the positions of both groups out again: first what leads to the source, then what is behind the target."""
    ahead.sort(key=_position)
    behind.sort(key=_position)
    nodes = ahead + behind
    moves = [(node, node.position) for node in nodes]
    for node, position in zip(nodes, sorted(position for _, position in moves), strict=True):
        node.position = position
    return moves


def _position(node: Node) -> int:
    return node.position


def _path(node: Node | None, came_from: dict[Node, Node | None]) -> list[StarId]:
    path: list[StarId] = []
    while node is not None:
        path.append(node.star.id)
        node = came_from[node]
    return path[::-1]
