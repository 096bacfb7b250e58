"""An incremental topological order: every line leads from a smaller position to a larger one.

Adding a line that already points the right way costs nothing. Another one moves only the stars between its ends
that are connected to them, after Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic
Graphs", ACM Journal of Experimental Algorithmics 11 (2006). Removing lines never disturbs the order.
"""

from __future__ import annotations

from .node import Node
from .star import StarId


def make_room(source: Node, target: Node) -> list[StarId] | None:
    """Reorder so that a line from `source` to `target` fits; the line itself is not added.

    Returns:
        None when it fits. Otherwise the order is as it was, and this is the path from `target` to `source` that
        the line would close to a cycle.
    """
    lower, upper = target.position, source.position
    if lower > upper:
        return None
    behind = _reach_forward(target, source)
    if isinstance(behind, list):
        return behind
    ahead = _reach_backward(source, lower)
    _reassign(ahead, list(behind))
    return None


def _reach_forward(start: Node, goal: Node) -> dict[Node, Node | None] | list[StarId]:
    """The nodes that can be reached from `start` without passing `goal`'s position, or the path to `goal`."""
    upper = goal.position
    came_from: dict[Node, Node | None] = {start: None}
    stack = [start]
    while stack:
        node = stack.pop()
        for edge in node.outbound.values():
            following = edge.target
            if following is goal:
                return [*_path(node, came_from), goal.star.id]
            if following.position < upper and following not in came_from:
                came_from[following] = node
                stack.append(following)
    return came_from


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


def _reassign(ahead: list[Node], behind: list[Node]) -> None:
    """Give the positions of both groups out again: first what leads to the source, then what is behind the target."""
    ahead.sort(key=_position)
    behind.sort(key=_position)
    moved = ahead + behind
    for node, position in zip(moved, sorted(node.position for node in moved), strict=True):
        node.position = position


def _position(node: Node) -> int:
    return node.position


def _path(node: Node | None, came_from: dict[Node, Node | None]) -> list[StarId]:
    path: list[StarId] = []
    while node is not None:
        path.append(node.star.id)
        node = came_from[node]
    return path[::-1]
