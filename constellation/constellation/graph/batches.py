"""Applying an edit batch: operations checked in order, one failure undoing all, then states brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
from .errors import CycleRejected, EditConflict, EditRejected, ReferenceFault, did_you_mean, show_path
from .line import TaskStarLine, Trigger
from .node import Edge, LineStatus, Node
from .references import Reference, find_references
from .star import StarId, TaskStar
from .states import IN_FLIGHT, OPEN, SETTLED, StarState
from .undo import Log, RollBack, count_in, count_out, inverse_of

if TYPE_CHECKING:
    from .constellation import TaskConstellation

_OPEN = LineStatus.OPEN


def apply_batch(graph: TaskConstellation, batch: EditBatch, at: float) -> Applied:
    """Apply a batch to a graph; see `TaskConstellation.apply`."""
    if batch.base_version is not None:
        _check_base(graph, batch, batch.base_version)
    edit = _Edit(graph, batch.operations)
    try:
        for operation in batch.operations:
            _PERFORM[type(operation)](edit, operation)
            edit.index += 1
        edit.check_references()
    except BaseException as error:
        edit.roll_back()
        if isinstance(error, EditRejected):
            error.index, error.operation = edit.index, str(batch.operations[edit.index])
        raise
    return edit.commit(batch, at)


def _check_base(graph: TaskConstellation, batch: EditBatch, base: int) -> None:
    if base == graph.version:
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


class _StarChanges:
    """The stars that a batch adds and removes.

    Attributes:
        added: The stars that are new.
        gone: The stars that are removed, with their nodes.
        removed: Those of them that were there before.
        replaces: Whether a new star has the id, and for now the place, of one that is removed.
        cancels: The stars in flight whose attempts have to be cancelled.
        unready: The stars that were ready and are gone.
    """

    __slots__ = ("added", "cancels", "gone", "removed", "replaces", "unready")

    def __init__(self) -> None:
        self.added: dict[StarId, None] = {}
        self.gone: dict[StarId, Node] = {}
        self.removed: dict[StarId, None] = {}
        self.replaces = False
        self.cancels: dict[StarId, None] = {}
        self.unready: list[StarId] = []


_LINES_ALONE = _StarChanges()
"""What all batches share that only change lines or specs, as most do; never written to."""

_NONE_DECIDED: list[Edge] = []
"""What they share that have no line out of a star that has ended; never written to."""


class _Edit:
    """A batch on its way: the changes made so far, how to undo them, and what they touched.

    Attributes:
        graph: The graph that it changes.
        nodes: The graph's stars. Those that the batch removes stay in it, at their places, until it is done.
        operations: The batch's operations.
        index: The operation under way.
        log: How to take back each change so far.
        stars: The stars that it adds and removes.
        touched: The stars whose spec or incoming lines have changed, each with the operation that touched it last.
        decided: The new lines whose sources have ended.
        unlinked: The lines that the batch removes in so many words, once that has been asked for.
    """

    __slots__ = (
        "decided",
        "first_serial",
        "graph",
        "index",
        "log",
        "nodes",
        "operations",
        "stars",
        "touched",
        "unlinked",
    )

    def __init__(self, graph: TaskConstellation, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.graph = graph
        self.nodes = graph._nodes
        self.index = 0
        self.first_serial = graph._next_serial
        self.log: Log = []
        self.stars = _LINES_ALONE
        self.touched: dict[StarId, int] = {}
        self.decided = _NONE_DECIDED
        self.unlinked: set[tuple[StarId, StarId]] | None = None

    # --- operations --------------------------------------------------------------------------------------------

    def change_stars(self) -> _StarChanges:
        """The batch's own account of the stars that it adds and removes."""
        if self.stars is _LINES_ALONE:
            self.stars = _StarChanges()
        return self.stars

    def decide(self, edge: Edge) -> None:
        """Have a new line judged, whose source has ended."""
        if self.decided is _NONE_DECIDED:
            self.decided = []
        self.decided.append(edge)

    def add_star(self, operation: AddStar) -> None:
        star = operation.star
        id = star.id
        changes = self.change_stars()
        replaced = changes.gone.get(id)
        if replaced is None and id in self.nodes:
            raise EditRejected(f"there is a star {id!r} already; give the new one another id")
        node = Node(star, _references_of(star), self.graph._next_serial)
        self.graph._next_serial += 1
        self.nodes[id] = node
        count_in(self.graph, node)
        self.log.append((RollBack.remove_star, node, replaced))
        if replaced is not None:
            del changes.gone[id]
            changes.replaces = True
        changes.added[id] = None
        self.touched[id] = self.index

    def update_star(self, operation: UpdateStar) -> None:
        star = operation.star
        node = self._open(star.id)
        before, references = node.star, node.references
        node.references = _references_of(star)
        node.star = star
        self.log.append((RollBack.set_star, node, before, references))
        self.touched[star.id] = self.index

    def remove_star(self, operation: RemoveStar) -> None:
        star = operation.star
        node = self._find(star)
        changes = self.change_stars()
        if node.state in IN_FLIGHT:
            changes.cancels[star] = None
            return
        if node.state in SETTLED:
            raise EditRejected(f"star {star!r} has {node.state.value} already; its record stays")
        for edge in node.outbound.values():
            if edge.target.state not in OPEN:
                raise EditRejected(
                    f"star {edge.target.star.id!r} waits for it and has been {edge.target.state.value} already"
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
        line = operation.line
        source_id, target_id = line.source, line.target
        source, target = self._find(source_id), self._open(target_id)
        if source_id in target.inbound:
            raise EditRejected(f"{line} is there already; update it instead")
        graph = self.graph
        if source.position > target.position:
            graph._order.make_room(source, target)
        edge = Edge(source, target, line.trigger, line.when, graph._next_serial)
        graph._next_serial += 1
        edge.connect()
        if source.state in SETTLED:
            self.decide(edge)
        self.log.append((RollBack.remove_line, edge))
        self.touched[target_id] = self.index

    def update_line(self, operation: UpdateLine) -> None:
        line = operation.line
        edge = self._edge(line.source, line.target)
        self.log.append((RollBack.set_line, edge, edge.trigger, edge.when, edge.status, edge.problem))
        edge.become(line.trigger, line.when, _OPEN, "")
        if edge.source.state in SETTLED:
            self.decide(edge)
        self.touched[line.target] = self.index

    def remove_line(self, operation: RemoveLine) -> None:
        source, target = operation.source, operation.target
        self._remove_edge(self._edge(source, target))

    def _remove_edge(self, edge: Edge) -> None:
        edge.disconnect()
        self.log.append((RollBack.restore_line, edge))
        self.touched[edge.target.star.id] = self.index

    # --- references --------------------------------------------------------------------------------------------

    def check_references(self) -> None:
        """See that the references of all touched stars hold, adding the lines that they imply."""
        gone = self.stars.gone
        for star, index in list(self.touched.items()):
            node = self.nodes[star]
            if node.references and star not in gone:
                self.index = index
                self._check_node(node)

    def _check_node(self, node: Node) -> None:
        star = node.star.id
        for reference in node.references:
            source = self.nodes.get(reference.star)
            if source is None or reference.star in self.stars.gone:
                hint = self._hint(reference.star) or "; add it, or refer to one that is there"
                raise self._fault(node, reference, f"names {reference.star!r}, and there is no such star{hint}")
            if source is node:
                problem = "names the star itself; it can only use outputs of stars upstream of it"
                raise self._fault(node, reference, problem)
            edge = node.inbound.get(reference.star)
            if edge is None:
                if self._is_unlinked(reference.star, star):
                    problem = f"needs the line from {reference.star!r}; update the star as well"
                    raise self._fault(node, reference, problem)
                self._imply_line(node, reference)
            elif edge.trigger is Trigger.FAILURE:
                problem = (
                    f"needs the output of {reference.star!r}, but the line between them waits for its failure; "
                    "a failed star has no output: change the line's trigger or drop the reference"
                )
                raise self._fault(node, reference, problem)

    def _is_unlinked(self, source: StarId, target: StarId) -> bool:
        """Whether the batch removes a line in so many words."""
        if self.unlinked is None:
            self.unlinked = {(gone.source, gone.target) for gone in self.operations if isinstance(gone, RemoveLine)}
        return (source, target) in self.unlinked

    def _imply_line(self, node: Node, reference: Reference) -> None:
        try:
            self.add_line(AddLine(TaskStarLine(reference.star, node.star.id)))
        except CycleRejected as error:
            path = " → ".join(error.cycle)
            reason = (
                f"{_where(node, reference)} names {reference.star!r}, which is not upstream but downstream of it "
                f"({path}): that would close a cycle; refer to a star that runs before it"
            )
            raise CycleRejected(error.cycle, reason, star=node.star.id, path=reference.path) from None

    def _fault(self, node: Node, reference: Reference, problem: str) -> EditRejected:
        return EditRejected(f"{_where(node, reference)} {problem}", star=node.star.id, path=reference.path)

    # --- ends --------------------------------------------------------------------------------------------------

    def roll_back(self) -> None:
        RollBack(self.graph).run(self.log)
        self.graph._next_serial = self.first_serial

    def commit(self, batch: EditBatch, at: float) -> Applied:
        graph, nodes, stars = self.graph, self.nodes, self.stars
        graph.version = version = graph.version + 1
        added: tuple[StarId, ...] = ()
        removed, cancels = added, added
        if stars is _LINES_ALONE:
            changes = Changes()
        else:
            changes = Changes(stars.unready)
            added, removed, cancels = tuple(stars.added), tuple(stars.removed), tuple(stars.cancels)
            for star in stars.gone:
                del nodes[star]
            if stars.replaces:
                for star in added:
                    nodes[star] = nodes.pop(star)
        moved = graph._no_longer_kept() if graph._kept else []
        for star in reversed(self.touched):
            node = nodes.get(star)
            if node is not None:
                node.edited_at = version
                moved.append(node)
        for edge in self.decided:
            if edge.status is _OPEN and edge.target.inbound.get(edge.source.star.id) is edge and not edge.source.holds:
                graph._resolve(edge)
        if graph.active:
            graph._advance_all(moved, changes, at)
        undo = partial(inverse_of, self.log, batch, version)
        return Applied(version, added, removed, cancels, tuple(self.touched), changes, undo)

    # --- look-ups ----------------------------------------------------------------------------------------------

    def _find(self, star: StarId) -> Node:
        node = self.nodes.get(star)
        if node is None or star in self.stars.gone:
            raise EditRejected(f"there is no star {star!r}{self._hint(star)}")
        return node

    def _hint(self, star: StarId) -> str:
        return did_you_mean(star, (name for name in self.nodes if name not in self.stars.gone))

    def _open(self, star: StarId) -> Node:
        node = self.nodes.get(star)
        if node is None or star in self.stars.gone:
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
    AddStar: _Edit.add_star,
    UpdateStar: _Edit.update_star,
    RemoveStar: _Edit.remove_star,
    AddLine: _Edit.add_line,
    UpdateLine: _Edit.update_line,
    RemoveLine: _Edit.remove_line,
}


def _references_of(star: TaskStar) -> tuple[Reference, ...]:
    try:
        return find_references(star.work.arguments)
    except ReferenceFault as error:
        raise EditRejected(f"star {star.id!r}: {error}", star=star.id, path=error.path) from error


def _where(node: Node, reference: Reference) -> str:
    return f"star {node.star.id!r}: the reference at {show_path(reference.path)}"
