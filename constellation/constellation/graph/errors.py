"""Errors of the graph.

GraphError
├── InvalidStar          a star's own fields are wrong
├── InvalidLine          a line's own fields are wrong
├── UnknownStar          a name that the constellation does not hold
├── ReferenceFault      a reference that can't be followed
├── ConditionError       a `when` expression that is malformed or fails on its input
├── InvalidDocument      a file or JSON text that is no constellation; knows the place
│   └── NewerFormat      a file of a format version that this release does not read
├── IllegalTransition    a star's state would change in a way that the life cycle forbids
└── EditRejected         a batch was refused whole; knows the operation
    ├── CycleRejected    a line would close a cycle; knows the stars in it
    └── EditConflict     the graph has moved under the batch; knows the stars
"""

from __future__ import annotations

from collections.abc import Sequence


class GraphError(Exception):
    """Base of all errors of this package."""


class InvalidStar(GraphError, ValueError):
    """Raised when a star is made with fields that make no sense; the message names the star and the field."""


class InvalidLine(GraphError, ValueError):
    """Raised when a line is made with fields that make no sense."""


class UnknownStar(GraphError, KeyError):
    """Raised when a star is asked for that the constellation does not hold."""

    def __init__(self, star: str, *, close: Sequence[str] = ()) -> None:
        hint = f"; did you mean {', '.join(repr(name) for name in close)}?" if close else ""
        super().__init__(f"there is no star {star!r}{hint}")
        self.star = star

    def __str__(self) -> str:
        return str(self.args[0])


class ReferenceFault(GraphError, ValueError):
    """Raised when a reference is malformed, or points at nothing in the output that it refers to."""


class ConditionError(GraphError, ValueError):
    """Raised when a `when` expression does not parse, or fails on the output that it is given."""


class InvalidDocument(GraphError, ValueError):
    """Raised when a file or JSON text is not a constellation.

    Attributes:
        problem: What is wrong and how to mend it.
        place: Where: a path of keys, and line and column where the text has them.
    """

    def __init__(self, problem: str, *, place: str = "") -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.problem = problem
        self.place = place


class NewerFormat(InvalidDocument):
    """Raised when a document was written in a format version that this release does not read."""


class IllegalTransition(GraphError):
    """Raised when a star would enter a state that it can't enter from where it is."""

    def __init__(self, star: str, before: str, after: str) -> None:
        super().__init__(f"star {star!r} can't go from {before} to {after}")
        self.star = star


class EditRejected(GraphError, ValueError):
    """Raised when a batch can't be applied; nothing of it has been.

    Attributes:
        index: Which operation of the batch, from 0; None when it is the batch as a whole.
        reason: Why, without the operation.
    """

    def __init__(self, reason: str, *, index: int | None = None, operation: str = "") -> None:
        where = f"operation {index} ({operation}): " if index is not None else ""
        super().__init__(f"{where}{reason}")
        self.index = index
        self.operation = operation
        self.reason = reason


class CycleRejected(EditRejected):
    """Raised when a line would close a cycle.

    Attributes:
        cycle: The stars in it, in the order of the lines, the first one not repeated.
    """

    def __init__(self, cycle: Sequence[str], *, index: int | None = None, operation: str = "") -> None:
        self.cycle = tuple(cycle)
        path = " → ".join([*self.cycle, self.cycle[0]])
        super().__init__(
            f"this would close a cycle: {path}; remove one of these lines", index=index, operation=operation
        )


class EditConflict(EditRejected):
    """Raised when the batch was made against an older version and touches what has changed since.

    Attributes:
        stars: The stars that have changed since the version that the batch was made against.
    """

    def __init__(self, stars: Sequence[str], *, base: int, version: int) -> None:
        self.stars = tuple(stars)
        names = ", ".join(repr(star) for star in stars)
        super().__init__(
            f"made against version {base}, but the graph is at {version} and {names} changed in between; "
            "look at the graph again and remake the edit"
        )
