"""Applying an edit batch: operations checked in order, one failure undoing all, then states brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .applied import Applied, Changes, StarChanges
from .edits import AddLine, AddStar, EditBatch, Operation, RemoveLine, RemoveStar, UpdateLine, UpdateStar
from .errors import CycleRejected, EditConflict, EditRejected, ReferenceFault, did_you_mean
from .node import Edge, LineStatus, Node
from .reference_checks import check_references
from .references import Reference, find_references
from .star import StarId, TaskStar
from .states import IN_FLIGHT, OPEN, SETTLED, StarState
from .undo import Log, RollBack, count_in, count_out
from .walks import shortest_way

if TYPE_CHECKING:
    from .constellation import TaskConstellation

_OPEN, _PENDING = LineStatus.OPEN, StarState.PENDING


def apply_batch(graph: TaskConstellation, batch: EditBatch, at: float) -> Applied:
    """Apply a batch to a graph; see `TaskConstellation.apply`."""
    base = batch.base_version
    if base is not None and base != graph.version:
        _check_base(graph, batch, base)
    first_serial = graph._next_serial
    edit = Edit(graph)
    try:
        for edit.index, operation in enumerate(batch.operations):
            _PERFORM[type(operation)](edit, operation)
        if edit.has_references:
            check_references(edit, batch.operations)
    except BaseException as error:
        RollBack(graph).run(edit.log)
        graph._next_serial = first_serial
        if isinstance(error, EditRejected):
            error.index, error.operation = edit.index, str(batch.operations[edit.index])
        raise
    return edit.commit(batch, at)


def _check_base(graph: TaskConstellation, batch: EditBatch, base: int) -> None:
    if base > graph.version:
        raise EditRejected(f"made against version {base}, but the graph is only at {graph.version}")
    moved = {
        star: None
        for operation in batch.operations
        for star in _touches(graph, operation)
        if (node := graph._nodes.get(star)) is not None and node.edited_at > base
    }
    if moved:
        raise EditConflict(list(moved), base=base, version=graph.version)


def _touches(graph: TaskConstellation, operation: Operation) -> tuple[StarId, ...]:
    """The stars whose spec or incoming lines an operation changes."""
    match operation:
        case AddStar(star) | UpdateStar(star):
            return (star.id,)
        case RemoveStar(star_id):
            node = graph._nodes.get(star_id)
            # The lines out of a star go with it, and they lead into others; those of one in flight stay.
            return (star_id, *(node.outbound if node is not None and node.state in OPEN else ()))
        case AddLine(line) | UpdateLine(line):
            return (line.target,)
        case RemoveLine(_, target):
            return (target,)


_LINES_ALONE = StarChanges()
"""What all batches share that only change lines or specs, as most do; never written to."""

_NONE_DECIDED: list[Edge] = []
"""What they share that have no line out of a star that has ended; never written to."""

_NOTHING_MOVED = Changes()
"""What they share that let no star move; never written to."""


class Edit:
    """A batch on its way: the changes made so far, how to undo them, and what they touched.

    Attributes:
        graph: The graph that it changes.
        nodes: The graph's stars. Those that the batch removes stay in it, at their places, until it is done.
        index: The operation under way.
        log: How to take back each change so far.
        stars: The stars that it adds and removes.
        touched: The stars whose spec or incoming lines have changed, each with the operation that touched it last.
        has_references: Whether any of those refers to others.
        decided: The new lines whose sources have ended.
    """

    __slots__ = ("decided", "graph", "has_references", "index", "log", "nodes", "stars", "touched")

    index: int

    def __init__(self, graph: TaskConstellation) -> None:
        self.graph = graph
        self.nodes = graph._nodes
        self.log: Log = []
        self.stars = _LINES_ALONE
        self.touched: dict[StarId, int] = {}
        self.has_references = False
        self.decided = _NONE_DECIDED

    # --- operations --------------------------------------------------------------------------------------------

    def change_stars(self) -> StarChanges:
        """The batch's own account of the stars that it adds and removes."""
        if self.stars is _LINES_ALONE:
            self.stars = StarChanges()
        return self.stars

    def decide(self, edge: Edge) -> None:
        """Have a new line judged, whose source has ended."""
        if self.decided is _NONE_DECIDED:
            self.decided = []
        self.decided.append(edge)

    def add_star(self, operation: AddStar) -> None:
        """Add a star that is not there, or take the place of one that the batch has removed."""
        star = operation.star
        id = star.id
        changes = self.change_stars()
        replaced = changes.gone.get(id)
        if replaced is None and id in self.nodes:
            raise EditRejected(f"there is a star {id!r} already; give the new one another id")
        node = Node(star, _references_of(star), self.graph._next_serial)
        self.graph._next_serial += 1
        count_in(self.graph, node)  # first of all: there may be no room for it
        self.nodes[id] = node
        self.log.append((RollBack.remove_star, node, replaced))
        if replaced is not None:
            del changes.gone[id]
            changes.replaces = True
        changes.added[id] = None
        self.touched[id] = self.index
        if node.references:
            self.has_references = True

    def update_star(self, operation: UpdateStar) -> None:
        """Replace the spec of a star."""
        star = operation.star
        node = self._open(star.id)
        before, references = node.star, node.references
        node.references = _references_of(star)
        node.star = star
        self.log.append((RollBack.set_star, node, before, references))
        self.touched[star.id] = self.index
        if node.references:
            self.has_references = True

    def remove_star(self, operation: RemoveStar) -> None:
        """Remove a star with its lines, or have it cancelled if it is in flight."""
        star = operation.star
        node = self.find(star)
        changes = self.change_stars()
        if node.state in IN_FLIGHT:
            changes.cancels[star] = None
            return
        if node.state in SETTLED:
            raise EditRejected(f"star {star!r} has {node.state.value} already; its record stays")
        for edge in node.outbound.values():
            if edge.target.state not in OPEN:
                raise EditRejected(
                    f"star {edge.target.id!r} waits for it and has been {edge.target.state.value} already"
                )
        for edge in (*node.inbound.values(), *node.outbound.values()):
            self._remove_edge(edge)
        count_out(self.graph, node)
        changes.gone[star] = node
        self.log.append((RollBack.restore_star, node))
        if node.state is StarState.READY:
            changes.unready.append(star)
        if star in changes.added:
            del changes.added[star]
        else:
            changes.removed[star] = None

    def add_line(self, operation: AddLine) -> None:
        """Add a line, if it closes no cycle."""
        line = operation.line
        source_id, target_id = line.source, line.target
        source, target = self.find(source_id), self._open(target_id)
        if source_id in target.inbound:
            raise EditRejected(f"{line} is there already; update it instead")
        graph = self.graph
        if not graph._order.connect(source.slot, target.slot):
            raise CycleRejected(shortest_way(graph._order, target, source))
        serial = graph._next_serial
        graph._next_serial = serial + 1
        edge = Edge(source, target, line.trigger, line.when, serial)
        edge.connect()
        if source.state in SETTLED:
            self.decide(edge)
        self.log.append((RollBack.remove_line, edge))
        self.touched[target_id] = self.index
        if target.references:
            self.has_references = True

    def update_line(self, operation: UpdateLine) -> None:
        """Replace the trigger of a line."""
        line = operation.line
        edge = self._edge(line.source, line.target)
        self.log.append((RollBack.set_line, edge, edge.trigger, edge.when, edge.status, edge.problem))
        edge.become(line.trigger, line.when, _OPEN, "")
        if edge.source.state in SETTLED:
            self.decide(edge)
        self.touched[line.target] = self.index
        if edge.target.references:
            self.has_references = True

    def remove_line(self, operation: RemoveLine) -> None:
        """Remove a line."""
        self._remove_edge(self._edge(operation.source, operation.target))

    def _remove_edge(self, edge: Edge) -> None:
        source, target = edge.source, edge.target
        self.graph._order.disconnect(source.slot, target.slot)
        edge.disconnect()
        self.log.append((RollBack.restore_line, edge))
        self.touched[target.id] = self.index
        if target.references:
            self.has_references = True

    # --- the end -----------------------------------------------------------------------------------------------

    def commit(self, batch: EditBatch, at: float) -> Applied:
        """Make the batch a version of the graph, and move the stars that it lets move."""
        graph, nodes, stars = self.graph, self.nodes, self.stars
        graph.version = version = graph.version + 1
        changes = _NOTHING_MOVED
        if stars is not _LINES_ALONE:
            changes = Changes(stars.unready)
            self._commit_stars()
        for edge in self.decided:
            if edge.status is _OPEN and edge.target.inbound.get(edge.source.id) is edge and not edge.source.holds:
                graph._resolve(edge)
        moved = graph._no_longer_kept() if graph._kept else []
        for star in reversed(self.touched):
            node = nodes.get(star)
            if node is not None:
                node.edited_at = version
                if not node.unresolved or node.unmet or node.state is not _PENDING:
                    moved.append(node)
        if moved and graph.active:
            if changes is _NOTHING_MOVED:
                changes = Changes()
            graph._advance_all(moved, changes, at)
        return Applied(version, changes, stars, self.touched, batch, self.log)

    def _commit_stars(self) -> None:
        nodes, stars = self.nodes, self.stars
        for star in stars.gone:
            del nodes[star]
        if stars.replaces:
            for star in stars.added:
                nodes[star] = nodes.pop(star)

    # --- look-ups ----------------------------------------------------------------------------------------------

    def find(self, star: StarId) -> Node:
        """The node of a star that is there."""
        node = self.nodes.get(star)
        if node is None or star in self.stars.gone:
            raise EditRejected(f"there is no star {star!r}{self.hint(star)}")
        return node

    def hint(self, star: StarId) -> str:
        """What may have been meant by the name of a star that is not there."""
        return did_you_mean(star, (name for name in self.nodes if name not in self.stars.gone))

    def _open(self, star: StarId) -> Node:
        node = self.nodes.get(star)
        if node is None or star in self.stars.gone:
            node = self.find(star)
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


_PERFORM: Mapping[type[Operation], Callable[[Edit, Any], None]] = {
    AddStar: Edit.add_star,
    UpdateStar: Edit.update_star,
    RemoveStar: Edit.remove_star,
    AddLine: Edit.add_line,
    UpdateLine: Edit.update_line,
    RemoveLine: Edit.remove_line,
}


def _references_of(star: TaskStar) -> tuple[Reference, ...]:
    try:
        return find_references(star.work.arguments)
    except ReferenceFault as error:
        raise EditRejected(f"star {star.id!r}: {error}", star=star.id, path=error.path) from error
