"""Whether the references of the stars that a batch has touched hold; the lines that they imply are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .edits import AddLine, Operation, RemoveLine
from .errors import CycleRejected, EditRejected, show_path
from .line import TaskStarLine, Trigger
from .node import Node
from .references import Reference
from .star import StarId

if TYPE_CHECKING:
    from .batches import Edit


def check_references(edit: Edit, operations: Sequence[Operation]) -> None:
    """See that the references of all touched stars hold, adding the lines that they imply.

    Raises:
        EditRejected: one does not hold; the edit's index is that of the operation that touched its star last.
    """
    unlinked = {(gone.source, gone.target) for gone in operations if isinstance(gone, RemoveLine)}
    for star, index in list(edit.touched.items()):
        node = edit.nodes[star]
        if node.references and star not in edit.stars.gone:
            edit.index = index
            for reference in node.references:
                _check(edit, node, reference, unlinked)


def _check(edit: Edit, node: Node, reference: Reference, unlinked: set[tuple[StarId, StarId]]) -> None:
    star = reference.star
    source = edit.nodes.get(star)
    if source is None or star in edit.stars.gone:
        hint = edit.hint(star) or "; add it, or refer to one that is there"
        raise _fault(node, reference, f"names {star!r}, and there is no such star{hint}")
    if source is node:
        raise _fault(node, reference, "names the star itself; it can only use outputs of stars upstream of it")
    edge = node.inbound.get(star)
    if edge is None:
        if (star, node.id) in unlinked:  # in so many words
            raise _fault(node, reference, f"needs the line from {star!r}; update the star as well")
        _imply_line(edit, node, reference)
    elif edge.trigger is Trigger.FAILURE:
        problem = (
            f"needs the output of {star!r}, but the line between them waits for its failure; "
            "a failed star has no output: change the line's trigger or drop the reference"
        )
        raise _fault(node, reference, problem)


def _imply_line(edit: Edit, node: Node, reference: Reference) -> None:
    try:
        edit.add_line(AddLine(TaskStarLine(reference.star, node.id)))
    except CycleRejected as error:
        path = " → ".join(error.cycle)
        reason = (
            f"{_where(node, reference)} names {reference.star!r}, which is not upstream but downstream of it "
            f"({path}): that would close a cycle; refer to a star that runs before it"
        )
        raise CycleRejected(error.cycle, reason, star=node.id, path=reference.path) from None


def _fault(node: Node, reference: Reference, problem: str) -> EditRejected:
    return EditRejected(f"{_where(node, reference)} {problem}", star=node.id, path=reference.path)


def _where(node: Node, reference: Reference) -> str:
    return f"star {node.id!r}: the reference at {show_path(reference.path)}"
