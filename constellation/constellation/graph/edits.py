"""Edits: the operations by which a constellation changes, and batches of them that apply whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .errors import EditRejected
from .line import TaskStarLine
from .record import record
from .star import StarId, TaskStar

_STRICT = ConfigDict(extra="forbid")


@record
class AddStar:
    """Add a star. References in its arguments bring their lines with them."""

    star: TaskStar
    op: Literal["add_star"] = "add_star"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"add star {self.star.id!r}"


@record
class UpdateStar:
    """Replace the spec of a star that has not been dispatched; the id stays."""

    star: TaskStar
    op: Literal["update_star"] = "update_star"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"update star {self.star.id!r}"


@record
class RemoveStar:
    """Remove a star and its lines; one that is with a device is cancelled instead and stays in the record."""

    star: StarId
    op: Literal["remove_star"] = "remove_star"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"remove star {self.star!r}"


@record
class AddLine:
    """Add a line into a star that has not been dispatched."""

    line: TaskStarLine
    op: Literal["add_line"] = "add_line"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"add {self.line}"


@record
class UpdateLine:
    """Replace the trigger of a line into a star that has not been dispatched."""

    line: TaskStarLine
    op: Literal["update_line"] = "update_line"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"update {self.line}"


@record
class RemoveLine:
    """Remove a line into a star that has not been dispatched."""

    source: StarId
    target: StarId
    op: Literal["remove_line"] = "remove_line"

    __pydantic_config__ = _STRICT

    def __str__(self) -> str:
        return f"remove line {self.source!r} → {self.target!r}"


Operation = Annotated[AddStar | UpdateStar | RemoveStar | AddLine | UpdateLine | RemoveLine, Field(discriminator="op")]
"""Any operation."""


@record
class EditBatch:
    """Operations that apply in order, whole or not at all.

    Attributes:
        operations: What to do.
        base_version: The version of the graph that the author looked at. An older one is accepted when nothing that the
            batch touches has changed since; None skips that check.
        author: Who made it.
        reason: Why, for people and planners.
    """

    operations: tuple[Operation, ...]
    base_version: int | None = None
    author: str = ""
    reason: str = ""

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        base: object = self.base_version
        if base is not None and not isinstance(base, int):
            raise EditRejected(f"base_version is {base!r}, and has to be a whole number, or None")
        if not isinstance(self.operations, (tuple, list)):
            raise EditRejected(f"its operations are {self.operations!r}, and have to be a tuple of them")
        for index, operation in enumerate(self.operations):
            parts = _PARTS.get(type(operation))
            if parts is None:
                raise EditRejected("this is no operation", index=index, operation=repr(operation))
            for name, kind in parts:
                part = getattr(operation, name)
                if not isinstance(part, kind):
                    problem = f"its {name} is {part!r}, and has to be a {kind.__name__}"
                    raise EditRejected(problem, index=index, operation=type(operation).__name__)


_PARTS: Mapping[type, tuple[tuple[str, type], ...]] = {
    AddStar: (("star", TaskStar),),
    UpdateStar: (("star", TaskStar),),
    RemoveStar: (("star", str),),
    AddLine: (("line", TaskStarLine),),
    UpdateLine: (("line", TaskStarLine),),
    RemoveLine: (("source", str), ("target", str)),
}
"""What operations are made of. A batch that is built in Python is not read by anything that would find out."""
