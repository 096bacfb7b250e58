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
        self.status = LineStatus.OPEN
        self.problem = ""


class Node:
    """A star in a constellation.

    Attributes:
        serial: Its place among all stars and lines in the order in which they were added.
        position: Its place in the topological order: smaller than that of every star that waits for it.
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
        "position",
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
        self.position = serial
        self.state = StarState.PENDING
        self.outcome: Outcome | None = None
        self.inbound: dict[StarId, Edge] = {}
        self.outbound: dict[StarId, Edge] = {}
        self.unresolved = 0
        self.unmet = 0
        self.holds = 0
        self.edited_at = 0
