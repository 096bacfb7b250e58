"""Planners: code that looks at every star that ends and may edit what has not begun.

While a planner looks at a star, what waits for that star is held; all else goes on. A planner that fails, or whose
edit does not fit, changes nothing: observers are told, the hold is released, and the run goes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..graph import EditBatch, EditBuilder, Outcome, StarId, StarState, TaskConstellation, TaskStar


@dataclass(frozen=True, slots=True)
class Review:
    """A star that has ended, put before a planner.

    Attributes:
        run: The run's id.
        star: The star as it was specified.
        state: How it ended.
        outcome: What it returned, or why it did not.
        graph: The live graph, to read; it is changed by what the planner returns.
    """

    run: str
    star: TaskStar
    state: StarState
    outcome: Outcome
    graph: TaskConstellation

    def edit(self, reason: str = "") -> EditBuilder:
        """Begin an edit of the graph as it is now; return it, or what it builds, from the planner."""
        return self.graph.edit(author="planner", reason=reason)


Planned = EditBatch | EditBuilder | None
Planner = Callable[[Review], Planned | Awaitable[Planned]]
"""Looks at a star and returns an edit or None. A plain function must be quick; one that waits is `async`."""


async def consult(planner: Planner, review: Review) -> EditBatch | EditBuilder | None:
    """Ask a planner; an edit without operations counts as none."""
    answer = planner(review)
    planned: Planned = await answer if inspect.isawaitable(answer) else answer
    if isinstance(planned, EditBuilder):
        return planned if planned else None
    if isinstance(planned, EditBatch):
        return planned if planned.operations else None
    if planned is not None:
        raise TypeError(f"the planner returned {planned!r}; it may return an edit, a batch of edits, or None")
    return None


def review_of(run: str, graph: TaskConstellation, star: StarId) -> Review:
    """Put a star that has ended before a planner."""
    outcome = graph.outcome(star)
    assert outcome is not None
    return Review(run, graph[star], graph.state(star), outcome, graph)
