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

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice

Path = tuple[str | int, ...]
"""The way into nested data: keys of objects and indices of lists."""


def show_path(path: Sequence[str | int]) -> str:
    """A path as people write it: `files[0].name`. What could act on a terminal is quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if step and step.isprintable() else repr(step)
            text += f".{shown}" if text else shown
    return text or "the top"


_COMPARED = 256
"""With how many names one that is unknown is compared: a hint should not cost more than the edit that it is about."""


def close_names(name: str, names: Iterable[str], *, count: int) -> list[str]:
    """Names that look like one that is not among them, best first; of very many only the first are looked at."""
    return difflib.get_close_matches(name, islice(names, _COMPARED), n=count)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint to append to a message about an unknown name; empty where nothing looks like it."""
    close = close_names(name, names, count=1)
    return f"; did you mean {close[0]!r}?" if close else ""


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
    """Raised when a reference is malformed, or points at nothing in the output that it refers to.

    Attributes:
        path: Where in the arguments it stands.
    """

    def __init__(self, problem: str, *, path: Path = ()) -> None:
        super().__init__(problem)
        self.path = path


class ConditionError(GraphError, ValueError):
    """Raised when a `when` expression does not parse, or fails on the output that it is given."""


class InvalidDocument(GraphError, ValueError):
    """Raised when a file or JSON text is not a constellation.

    It prints as `flow.yaml:7:5: stars.merge: what is wrong`, with as much of that as is known.

    Attributes:
        problem: What is wrong and how to mend it.
        path: Where in the document: keys and indices from the top.
        file: The file's name as it was given; empty for text that is from no file.
        line: Where in the text, from 1; None where there is no text or the problem is with all of it.
        column: The character in that line, from 1.
        cycle: The stars that wait for each other, in the order of the lines, when that is the problem.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: Path = (),
        line: int | None = None,
        column: int | None = None,
        cycle: Sequence[str] = (),
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.file = ""
        self.line = line
        self.column = column
        self.cycle = tuple(cycle)

    @property
    def place(self) -> str:
        """The path as people write it; empty for the document as a whole."""
        return show_path(self.path) if self.path else ""

    def __str__(self) -> str:
        text = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in (None, ""))
        return ": ".join(part for part in (text, self.place, self.problem) if part)


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
        operation: That operation in words.
        reason: Why, without the operation.
        star: The star whose arguments are at fault, when that is why.
        path: Where in its arguments.
    """

    def __init__(
        self,
        reason: str,
        *,
        index: int | None = None,
        operation: str = "",
        star: str | None = None,
        path: Path = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index
        self.operation = operation
        self.star = star
        self.path = path

    def __str__(self) -> str:
        return self.reason if self.index is None else f"operation {self.index} ({self.operation}): {self.reason}"


class CycleRejected(EditRejected):
    """Raised when a line would close a cycle.

    Attributes:
        cycle: The stars in it, in the order of the lines, the first one not repeated.
    """

    def __init__(
        self, cycle: Sequence[str], reason: str | None = None, *, star: str | None = None, path: Path = ()
    ) -> None:
        self.cycle = tuple(cycle)
        way = " → ".join([*self.cycle, self.cycle[0]])
        super().__init__(reason or f"this would close a cycle: {way}; remove one of these lines", star=star, path=path)


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
