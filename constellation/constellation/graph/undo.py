"""Taking back what a batch has changed: at once when it is refused, or later by the operations that undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .edits import AddLine, AddStar, EditBatch, Operation, RemoveLine, RemoveStar, UpdateLine, UpdateStar
from .line import Trigger
from .node import Edge, LineStatus, Node
from .references import Reference
from .star import StarId, TaskStar

if TYPE_CHECKING:
    from .constellation import TaskConstellation

Log = list[tuple[Any, ...]]
"""The changes of a batch in order, each as the method of `RollBack` that takes it back and its arguments.

Closures would lead back to the batch, and a cycle of references for each edit costs as much as the edit itself.
"""


def count_in(graph: TaskConstellation, node: Node) -> None:
    """Count a star without lines among the graph's stars."""
    node.slot = graph._order.append(node.serial)
    graph.counts[node.state] += 1
    graph._held += node.holds


def count_out(graph: TaskConstellation, node: Node) -> None:
    """Take a star without lines out of what `count_in` counts."""
    graph._order.remove(node.slot)
    graph.counts[node.state] -= 1
    graph._held -= node.holds


def _serial_of(entry: tuple[StarId, Edge]) -> int:
    return entry[1].serial


class RollBack:
    """Takes back the changes of a batch that was refused, last one first.

    No trace is left: what follows must not depend on edits that were refused, lest a replay goes another way. Only the
    topological order may stay another one. It fits the lines, and nothing shows which one it is.
    """

    def __init__(self, graph: TaskConstellation) -> None:
        self._graph = graph
        self._disordered: list[dict[StarId, Edge]] = []
        """What lines were put back into, at the end rather than at their places."""

    def run(self, log: Log) -> None:
        """Take back all changes."""
        for undo, *arguments in reversed(log):
            undo(self, *arguments)
        for lines in {id(lines): lines for lines in self._disordered}.values():
            in_order = sorted(lines.items(), key=_serial_of)
            lines.clear()
            lines.update(in_order)

    def remove_star(self, node: Node, replaced: Node | None) -> None:
        """Remove a star that was added, or give its place back to the removed one whose id it has."""
        star = node.id
        if replaced is None:
            del self._graph._nodes[star]
        else:
            self._graph._nodes[star] = replaced
        count_out(self._graph, node)

    def set_star(self, node: Node, star: TaskStar, references: tuple[Reference, ...]) -> None:
        """Give a star back its spec."""
        node.star, node.references = star, references

    def restore_star(self, node: Node) -> None:
        """Put back a star that was removed; until a batch is done, those keep their entries in the graph."""
        count_in(self._graph, node)

    def remove_line(self, edge: Edge) -> None:
        """Remove a line that was added."""
        self._graph._order.disconnect(edge.source.slot, edge.target.slot)
        edge.disconnect()

    def set_line(self, edge: Edge, trigger: Trigger, when: str | None, status: LineStatus, problem: str) -> None:
        """Give a line back its trigger, and what was known of it."""
        edge.become(trigger, when, status, problem)

    def restore_line(self, edge: Edge) -> None:
        """Put back a line that was removed."""
        self._graph._order.connect(edge.source.slot, edge.target.slot)
        edge.connect()
        self._disordered += (edge.source.outbound, edge.target.inbound)


def inverse_of(log: Log, batch: EditBatch, version: int) -> EditBatch:
    """The batch that undoes one that was applied; what the log refers to for this never changes later.

    It is made against the version that the batch led to, lest it undo what others have made of the same stars since.
    """
    operations = [_INVERSE[undo](*arguments) for undo, *arguments in reversed(log)]
    reason = f"undo: {batch.reason}" if batch.reason else "undo"
    return EditBatch(tuple(operations), version, batch.author, reason)


_INVERSE: Mapping[Callable[..., None], Callable[..., Operation]] = {
    RollBack.remove_star: lambda node, replaced: RemoveStar(node.id),
    RollBack.set_star: lambda node, star, references: UpdateStar(star),
    RollBack.restore_star: lambda node: AddStar(node.star),
    RollBack.remove_line: lambda edge: RemoveLine(edge.source.id, edge.target.id),
    RollBack.set_line: lambda edge, trigger, when, *known: UpdateLine(replace(edge.line, trigger=trigger, when=when)),
    RollBack.restore_line: lambda edge: AddLine(edge.line),
}
"""For each way to take a change back, the operation that does the same."""
