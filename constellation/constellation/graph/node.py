"""The graph's own records of a star and a line: the spec, and what has become of it."""

from __future__ import annotations

from enum import Enum

from .line import TaskStarLine
from .references import Reference
from .star import StarId, TaskStar
from .states import Outcome, StarState


class LineStatus(Enum):
    """What is known of a line."""

    OPEN = "open"
    """Its source has not ended, or is held for review."""
    MET = "met"
    UNMET = "unmet"
    """It can no longer be met."""
    BROKEN = "broken"
    """Its condition could not be evaluated."""


_OPEN, _MET = LineStatus.OPEN, LineStatus.MET
"""By names of their own: each edit needs them, and Python 3.11 looks members of enumerations up slowly."""


class Edge:
    """A line between two nodes, and whether it is met.

    Attributes:
        serial: Its place among all stars and lines in the order in which they were added.
        problem: Why its condition could not be evaluated.
    """

    __slots__ = ("line", "problem", "serial", "source", "status", "target")

    def __init__(self, line: TaskStarLine, source: Node, target: Node, serial: int) -> None:
        self.serial = serial
        self.line = line
        self.source = source
        self.target = target
        self.status = _OPEN
        self.problem = ""

    def connect(self) -> None:
        """Join it to both of its stars, and count it in what its target waits for."""
        line, source, target = self.line, self.source, self.target
        source.outbound[line.target] = target.inbound[line.source] = self
        if self.status is _OPEN:
            target.unresolved += 1
        else:
            self._count(+1)

    def disconnect(self) -> None:
        """Take it out of both of its stars, and of what its target waits for."""
        line = self.line
        del self.source.outbound[line.target]
        del self.target.inbound[line.source]
        self._count(-1)

    def become(self, line: TaskStarLine, status: LineStatus, problem: str) -> None:
        """Replace its trigger, and what is known of it, at its place."""
        self._count(-1)
        self.line, self.status, self.problem = line, status, problem
        self._count(+1)

    def _count(self, by: int) -> None:
        if self.status is _OPEN:
            self.target.unresolved += by
        elif self.status is not _MET:
            self.target.unmet += by


class Place:
    """A place in the topological order, which is a list linked both ways.

    Attributes:
        position: Larger than that of the place before it.
        before: The place before it.
        after: The place after it.
    """

    __slots__ = ("after", "before", "position")

    position: int
    before: Place
    after: Place


class Node(Place):
    """A star in a constellation.

    Attributes:
        serial: Its place among all stars and lines in the order in which they were added.
        unresolved: How many lines into it are open.
        unmet: How many lines into it are unmet or broken.
        holds: How many reviews of it are going on; while there are any, nothing that waits for it moves.
        edited_at: The version of the graph at which its spec or its incoming lines last changed.
    """

    __slots__ = (
        "edited_at",
        "holds",
        "inbound",
        "outbound",
        "outcome",
        "references",
        "serial",
        "star",
        "state",
        "unmet",
        "unresolved",
    )

    def __init__(self, star: TaskStar, references: tuple[Reference, ...], serial: int) -> None:
        self.star = star
        self.references = references
        self.serial = serial
        self.state = StarState.PENDING
        self.outcome: Outcome | None = None
        self.inbound: dict[StarId, Edge] = {}
        self.outbound: dict[StarId, Edge] = {}
        self.unresolved = 0
        self.unmet = 0
        self.holds = 0
        self.edited_at = 0
