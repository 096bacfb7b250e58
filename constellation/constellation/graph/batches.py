"""Applying an edit batch: operations checked in order, one failure undoing all, then states brought up to date."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .edits import (
    AddLine,
    AddStar,
    Applied,
    Changes,
    EditBatch,
    Operation,
    RemoveLine,
    RemoveStar,
    UpdateLine,
    UpdateStar,
)
from .errors import CycleRejected, EditConflict, EditRejected, ReferenceFault, show_path
from .line import TaskStarLine, Trigger
from .node import Edge, LineStatus, Node
from .order import Moves, make_room, move_back
from .references import Reference, find_references
from .star import StarId, TaskStar
from .states import IN_FLIGHT, OPEN, SETTLED, StarState

if TYPE_CHECKING:
    from .constellation import TaskConstellation


def apply_batch(graph: TaskConstellation, batch: EditBatch, at: float) -> Applied:
    """Apply a batch to a graph; see `TaskConstellation.apply`."""
    _check_base(graph, batch)
    edit = _Edit(graph)
    try:
        for edit.index, operation in enumerate(batch.operations):
            _PERFORM[type(operation)](edit, operation)
        edit.check_references()
    except BaseException as error:
        edit.roll_back()
        if isinstance(error, EditRejected):
            error.index, error.operation = edit.index, str(batch.operations[edit.index])
        raise
    return edit.commit(batch, at)


def _check_base(graph: TaskConstellation, batch: EditBatch) -> None:
    base = batch.base_version
    if base is None or base == graph.version:
        return
    if base > graph.version:
        raise EditRejected(f"made against version {base}, but the graph is only at {graph.version}")
    moved = {
        star: None
        for operation in batch.operations
        for star in _touches(operation)
        if (node := graph._nodes.get(star)) is not None and node.edited_at > base
    }
    if moved:
        raise EditConflict(list(moved), base=base, version=graph.version)


def _touches(operation: Operation) -> tuple[StarId, ...]:
    """The stars whose spec or incoming lines an operation changes."""
    match operation:
        case AddStar(star) | UpdateStar(star):
            return (star.id,)
        case RemoveStar(star_id):
            return (star_id,)
        case AddLine(line) | UpdateLine(line):
            return (line.target,)
        case RemoveLine(_, target):
            return (target,)


class _Edit:
    """A batch on its way: the changes made so far, how to undo them, and what they touched."""

    def __init__(self, graph: TaskConstellation) -> None:
        self.graph = graph
        self.nodes = graph._nodes
        self.undo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        """How to take each change back: methods with their arguments. Bound ones or closures would lead back here, and
        a cycle of references for each edit costs as much in garbage collection as the edit itself."""
        self.inverse: list[Operation] = []
        self.added: dict[StarId, None] = {}
        self.removed: dict[StarId, None] = {}
        self.cancels: dict[StarId, None] = {}
        self.index = 0
        self.first_serial = graph._next_serial
        self.touched: dict[StarId, int] = {}
        """The stars touched, each with the operation that touched it last."""
        self.unlinked: set[tuple[StarId, StarId]] = set()
        """The lines that the batch removes in so many words."""
        self.disordered: list[dict[StarId, Node] | dict[StarId, Edge]] = []
        """What rolling back puts something back into, at the end rather than at its place."""
        self.unready: list[StarId] = []

    # --- operations --------------------------------------------------------------------------------------------

    def add_star(self, star: TaskStar) -> None:
        if star.id in self.nodes:
            raise EditRejected(f"there is a star {star.id!r} already; give the new one another id")
        node = Node(star, _references_of(star), self._serial())
        self._insert(node)
        self.undo.append((_Edit._delete, (node,)))
        self.inverse.append(RemoveStar(star.id))
        self.added[star.id] = None
        self.touched[star.id] = self.index

    def update_star(self, star: TaskStar) -> None:
        node = self._open(star.id)
        before, references = node.star, node.references
        self._set_star(node, star, _references_of(star))
        self.undo.append((_Edit._set_star, (node, before, references)))
        self.inverse.append(UpdateStar(before))
        self.touched[star.id] = self.index

    def remove_star(self, star: StarId) -> None:
        node = self._find(star)
        if node.state in IN_FLIGHT:
            self.cancels[star] = None
            return
        if node.state in SETTLED:
            raise EditRejected(f"star {star!r} has {node.state.value} already; its record stays")
        for edge in list(node.outbound.values()):
            if edge.target.state not in OPEN:
                raise EditRejected(
                    f"star {edge.target.star.id!r} waits for it and has been {edge.target.state.value} already"
                )
        lines = [edge.line for edge in (*node.inbound.values(), *node.outbound.values())]
        for line in lines:
            self.remove_line(line.source, line.target)
        self._delete(node)
        self.undo.append((_Edit._put_back, (node,)))
        self.inverse.append(AddStar(node.star))
        if node.state is StarState.READY:
            self.unready.append(star)
        if star in self.added:
            del self.added[star]
        else:
            self.removed[star] = None

    def add_line(self, line: TaskStarLine) -> None:
        source, target = self._find(line.source), self._open(line.target)
        if line.source in target.inbound:
            raise EditRejected(f"{line} is there already; update it instead")
        moves = make_room(source, target)
        edge = Edge(line, source, target, self._serial())
        self._connect(edge)
        self.undo.append((_Edit._take_back_line, (edge, moves)))
        self.inverse.append(RemoveLine(line.source, line.target))
        self.touched[line.target] = self.index

    def update_line(self, line: TaskStarLine) -> None:
        edge = self._edge(line.source, line.target)
        before = edge.line
        self.undo.append((_Edit._set_line, (edge, before, edge.status, edge.problem)))
        self._set_line(edge, line, LineStatus.OPEN, "")
        self.inverse.append(UpdateLine(before))
        self.touched[line.target] = self.index

    def unlink(self, operation: RemoveLine) -> None:
        self.remove_line(operation.source, operation.target)
        self.unlinked.add((operation.source, operation.target))

    def remove_line(self, source: StarId, target: StarId) -> None:
        edge = self._edge(source, target)
        self._disconnect(edge)
        self.undo.append((_Edit._put_back_line, (edge,)))
        self.inverse.append(AddLine(edge.line))
        self.touched[target] = self.index

    # --- references --------------------------------------------------------------------------------------------

    def check_references(self) -> None:
        """See that the references of all touched stars hold, adding the lines that they imply."""
        for star, index in list(self.touched.items()):
            self.index = index
            node = self.nodes.get(star)
            if node is not None:
                self._check_node(node)

    def _check_node(self, node: Node) -> None:
        star = node.star.id
        for reference in node.references:
            path = reference.path
            where = f"star {star!r}: the reference at {show_path(path)}"
            source = self.nodes.get(reference.star)
            if source is None:
                hint = self._close_to(reference.star) or "; add it, or refer to one that is there"
                reason = f"{where} names {reference.star!r}, and there is no such star{hint}"
                raise EditRejected(reason, star=star, path=path)
            if source is node:
                reason = f"{where} names the star itself; it can only use outputs of stars upstream of it"
                raise EditRejected(reason, star=star, path=path)
            edge = node.inbound.get(reference.star)
            if edge is None:
                if (reference.star, star) in self.unlinked:
                    reason = f"{where} needs the line from {reference.star!r}; update the star as well"
                    raise EditRejected(reason, star=star, path=path)
                self._imply_line(node, reference, where)
            elif edge.line.trigger is Trigger.FAILURE:
                raise EditRejected(
                    f"{where} needs the output of {reference.star!r}, but the line between them waits for its failure; "
                    "a failed star has no output: change the line's trigger or drop the reference",
                    star=star,
                    path=path,
                )

    def _imply_line(self, node: Node, reference: Reference, where: str) -> None:
        try:
            self.add_line(TaskStarLine(reference.star, node.star.id))
        except CycleRejected as error:
            path = " → ".join(error.cycle)
            reason = (
                f"{where} names {reference.star!r}, which is not upstream but downstream of it ({path}): "
                "that would close a cycle; refer to a star that runs before it"
            )
            raise CycleRejected(error.cycle, reason, star=node.star.id, path=reference.path) from None

    # --- ends --------------------------------------------------------------------------------------------------

    def roll_back(self) -> None:
        """Leave no trace: what follows must not depend on edits that were refused, lest a replay goes another way."""
        for undo, arguments in reversed(self.undo):
            undo(self, *arguments)
        for entries in {id(entries): entries for entries in self.disordered}.values():
            _sort_by_serial(entries)
        self.graph._next_serial = self.first_serial

    def commit(self, batch: EditBatch, at: float) -> Applied:
        graph = self.graph
        graph.version += 1
        changes = Changes(unready=self.unready)
        moved = graph._no_longer_kept()
        for star in reversed(self.touched):
            node = self.nodes.get(star)
            if node is None:
                continue
            node.edited_at = graph.version
            if node.unresolved:
                for edge in node.inbound.values():
                    if edge.status is LineStatus.OPEN and edge.source.state in SETTLED and not edge.source.holds:
                        graph._resolve(edge)
            moved.append(node)
        graph._advance_all(moved, changes, at)
        self.inverse.reverse()
        reason = f"undo: {batch.reason}" if batch.reason else "undo"
        return Applied(
            version=graph.version,
            inverse=EditBatch(tuple(self.inverse), None, batch.author, reason),
            added=tuple(self.added),
            removed=tuple(self.removed),
            cancels=tuple(self.cancels),
            touched=tuple(self.touched),
            changes=changes,
        )

    # --- primitives, each the other's inverse --------------------------------------------------------------------

    def _insert(self, node: Node) -> None:
        graph = self.graph
        self.nodes[node.star.id] = node
        graph.counts[node.state] += 1
        graph._held += node.holds

    def _delete(self, node: Node) -> None:
        del self.nodes[node.star.id]
        self.graph.counts[node.state] -= 1
        self.graph._held -= node.holds

    def _connect(self, edge: Edge) -> None:
        edge.source.outbound[edge.line.target] = edge
        edge.target.inbound[edge.line.source] = edge
        self._count(edge, +1)

    def _disconnect(self, edge: Edge) -> None:
        del edge.source.outbound[edge.line.target]
        del edge.target.inbound[edge.line.source]
        self._count(edge, -1)

    def _set_star(self, node: Node, star: TaskStar, references: tuple[Reference, ...]) -> None:
        node.star, node.references = star, references

    def _set_line(self, edge: Edge, line: TaskStarLine, status: LineStatus, problem: str) -> None:
        self._count(edge, -1)
        edge.line, edge.status, edge.problem = line, status, problem
        self._count(edge, +1)

    def _count(self, edge: Edge, by: int) -> None:
        """Count a line in or out of what its target waits for."""
        if edge.status is LineStatus.OPEN:
            edge.target.unresolved += by
        elif edge.status is not LineStatus.MET:
            edge.target.unmet += by

    # --- rolling back --------------------------------------------------------------------------------------------

    def _take_back_line(self, edge: Edge, moves: Moves) -> None:
        self._disconnect(edge)
        move_back(moves)

    def _put_back(self, node: Node) -> None:
        self._insert(node)
        self.disordered.append(self.nodes)

    def _put_back_line(self, edge: Edge) -> None:
        self._connect(edge)
        self.disordered += (edge.source.outbound, edge.target.inbound)

    def _serial(self) -> int:
        serial = self.graph._next_serial
        self.graph._next_serial = serial + 1
        return serial

    # --- look-ups ----------------------------------------------------------------------------------------------

    def _find(self, star: StarId) -> Node:
        node = self.nodes.get(star)
        if node is None:
            raise EditRejected(f"there is no star {star!r}{self._close_to(star)}")
        return node

    def _close_to(self, star: str) -> str:
        close = difflib.get_close_matches(star, self.nodes, n=1)
        return f"; did you mean {close[0]!r}?" if close else ""

    def _open(self, star: StarId) -> Node:
        node = self._find(star)
        if node.state not in OPEN:
            raise EditRejected(
                f"star {star!r} has been dispatched ({node.state.value}), so neither it nor the lines into it "
                "can change; add a new star instead"
            )
        return node

    def _edge(self, source: StarId, target: StarId) -> Edge:
        edge = self._open(target).inbound.get(source)
        if edge is None:
            raise EditRejected(f"there is no line {source!r} → {target!r}")
        return edge


_PERFORM: Mapping[type[Operation], Callable[[_Edit, Any], None]] = {
    AddStar: lambda edit, operation: edit.add_star(operation.star),
    UpdateStar: lambda edit, operation: edit.update_star(operation.star),
    RemoveStar: lambda edit, operation: edit.remove_star(operation.star),
    AddLine: lambda edit, operation: edit.add_line(operation.line),
    UpdateLine: lambda edit, operation: edit.update_line(operation.line),
    RemoveLine: _Edit.unlink,
}


def _sort_by_serial(entries: dict[StarId, Node] | dict[StarId, Edge]) -> None:
    in_order: Any = sorted(entries.items(), key=lambda entry: entry[1].serial)
    entries.clear()
    entries.update(in_order)


def _references_of(star: TaskStar) -> tuple[Reference, ...]:
    try:
        return find_references(star.work.arguments)
    except ReferenceFault as error:
        raise EditRejected(f"star {star.id!r}: {error}", star=star.id, path=error.path) from error
