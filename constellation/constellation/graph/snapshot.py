"""A graph at one moment, as the document that it would be written as; written only when somebody looks into it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from .edits import AddStar, EditBatch, UpdateStar
from .star import NO_REQUIREMENTS
from .work import NO_ARGUMENTS, Nested

if TYPE_CHECKING:
    from .constellation import TaskConstellation
    from .star import TaskStar


class Snapshot(Mapping[str, Any]):
    """A document that nothing can change any more, whatever becomes of the graph that it was taken of.

    To copy a graph costs a sixth of what it costs to write and read it, so `load` does that with a snapshot.
    """

    __slots__ = ("_graph", "_once", "_text")

    def __init__(self, graph: TaskConstellation, *, once: bool = False) -> None:
        """Take a snapshot, at the cost of a copy.

        Args:
            graph: What to take it of.
            once: Whether it is good for one graph or one text and no more, which saves another copy.
        """
        made = graph.copy()
        made.functions.clear()
        for node in made._nodes.values():
            star = node.star
            if (
                star.work.arguments is not NO_ARGUMENTS
                or star.requires is not NO_REQUIREMENTS
                or isinstance(star.work, Nested)
            ):
                node.star = _own(star)
        self._graph: TaskConstellation | None = made
        self._text: bytes | None = None
        self._once = once

    def graph(self) -> TaskConstellation:
        """Another graph like the one that it was taken of."""
        from .documents import load

        kept = self._graph
        if kept is None:
            return load(self.document())
        if self._text is None and not self._once:
            return kept.copy()
        self._graph = None
        return kept

    def text(self) -> bytes:
        """The document as JSON text; see `dump_text`."""
        from .documents import dump_text

        if self._text is None:
            if self._graph is None:
                raise RuntimeError("this snapshot was good for one graph, which has been taken")
            self._text = dump_text(self._graph)
        return self._text

    def document(self) -> dict[str, Any]:
        """The document, read from its text; see `dump`."""
        document: dict[str, Any] = json.loads(self.text())
        return document

    def __getitem__(self, key: str) -> Any:
        return self.document()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.document())

    def __len__(self) -> int:
        return len(self.document())


def owned(batch: EditBatch) -> EditBatch:
    """A batch whose stars have arguments that nobody else has hold of."""
    operations = tuple(
        replace(operation, star=_own(operation.star)) if isinstance(operation, (AddStar, UpdateStar)) else operation
        for operation in batch.operations
    )
    return replace(batch, operations=operations)


def _own(star: TaskStar) -> TaskStar:
    """A star whose arguments nobody else has hold of."""
    work: Any = star.work
    own = {"arguments": to_jsonable_python(work.arguments)}
    if isinstance(work, Nested):
        own["constellation"] = to_jsonable_python(work.constellation)
    return replace(star, work=replace(work, **own), requires=dict(star.requires))
