"""The graph's own records of a star and a line: the spec, and what has become of it."""

from __future__ import annotations

from enum import Enum

from .line import TaskStarLine, Trigger
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
    """A line between two nodes, and whether it is met. It makes its `TaskStarLine` when asked, to be small.

    Attributes:
        source: The node that is waited for.
        target: The node that waits.
        trigger: What meets it.
        when: The condition, for the trigger `WHEN`.
        serial: Its place among all stars and lines in the order in which they were added.
        status: Whether it is met.
        problem: Why its condition could not be evaluated.
    """

    __slots__ = ("problem", "serial", "source", "status", "target", "trigger", "when")

    def __init__(self, source: Node, target: Node, trigger: Trigger, when: str | None, serial: int) -> None:
        self.source = source
        self.target = target
        self.trigger = trigger
        self.when = when
        self.serial = serial
        self.status = _OPEN
        self.problem = ""

    @property
    def line(self) -> TaskStarLine:
        """The line as it was specified."""
        return TaskStarLine(self.source.id, self.target.id, self.trigger, self.when)

    def connect(self) -> None:
        """Join it to both of its stars, and count it in what its target waits for."""
        source, target = self.source, self.target
        source.outbound[target.id] = target.inbound[source.id] = self
        if self.status is _OPEN:
            target.unresolved += 1
        else:
            self._count(+1)

    def disconnect(self) -> None:
        """Take it out of both of its stars, and of what its target waits for."""
        source, target = self.source, self.target
        del source.outbound[target.id]
        del target.inbound[source.id]
        if self.status is _OPEN:
            target.unresolved -= 1
        else:
            self._count(-1)

    def become(self, trigger: Trigger, when: str | None, status: LineStatus, problem: str) -> None:
        """Replace its trigger, and what is known of it, at its place."""
        self._count(-1)
        self.trigger, self.when, self.status, self.problem = trigger, when, status, problem
        self._count(+1)

    def _count(self, by: int) -> None:
        if self.status is _OPEN:
            self.target.unresolved += by
        elif self.status is not _MET:
            self.target.unmet += by


class Node:
    """A star in a constellation.

    Attributes:
        id: The star's id.
        star: Its spec.
        references: What the spec refers to.
        serial: Its place among all stars and lines in the order in which they were added.
        slot: Where the topological order has it.
        unresolved: How many lines into it are open.
        unmet: How many lines into it are unmet or broken.
        holds: How many reviews of it are going on; while there are any, nothing that waits for it moves.
        edited_at: The version of the graph at which its spec or its incoming lines last changed.
    """

    __slots__ = (
        "edited_at",
        "holds",
        "id",
        "inbound",
        "outbound",
        "outcome",
        "references",
        "serial",
        "slot",
        "star",
        "state",
        "unmet",
        "unresolved",
    )

    slot: int

    def __init__(self, star: TaskStar, references: tuple[Reference, ...], serial: int) -> None:
        self.id = star.id
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
