"""A planner that follows a script: what it is to be asked, in which order, and what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from ..graph import EditBatch, EditBuilder
from ..orchestrator.planning import Planned, Review
from .errors import UnexpectedStep, UnusedSteps

Answer = EditBatch | EditBuilder | None | Callable[[Review], Planned]
"""What a step of a script answers: an edit, nothing, or a plain function of the review that returns either."""


class ScriptedPlanner:
    """A planner for tests, for an `Orchestrator` as well as for a `SimulatedWorld`.

    Each step names the star that is to be reviewed next and what to answer. As a context manager it sees in the end
    that no step is left over. What goes wrong is raised to whoever asks, and again by `check_used_up`: an orchestrator
    goes on without a planner that fails.

    Examples:
        >>> planner = ScriptedPlanner([("build", None)])
        >>> planner.remaining
        ('build',)
    """

    def __init__(self, steps: Iterable[tuple[str, Answer]]) -> None:
        """Make a planner that expects reviews of these stars, in this order."""
        self._steps = deque(steps)
        self._wrong: UnexpectedStep | None = None

    @property
    def remaining(self) -> tuple[str, ...]:
        """The stars whose reviews are still expected, next one first."""
        return tuple(star for star, _ in self._steps)

    def __call__(self, review: Review) -> Planned:
        """Answer a review.

        Raises:
            UnexpectedStep: another star, or none, was to be reviewed next.
        """
        star = review.star.id
        if not self._steps or self._steps[0][0] != star:
            expected = f"the script has {self._steps[0][0]!r} next" if self._steps else "the script is at its end"
            raise self._noted(f"star {star!r} was put up for review, but {expected}")
        _, answer = self._steps.popleft()
        if answer is None or isinstance(answer, (EditBatch, EditBuilder)):
            return answer
        planned = answer(review)
        if planned is not None and not isinstance(planned, (EditBatch, EditBuilder)):
            raise self._noted(f"the script answered {planned!r} for {star!r}; it may answer an edit, or None")
        return planned

    def _noted(self, problem: str) -> UnexpectedStep:
        """The error, of which the first is kept for `check_used_up`."""
        error = UnexpectedStep(problem)
        self._wrong = self._wrong or error
        return error

    def check_used_up(self) -> None:
        """See that everything went as scripted.

        Raises:
            UnexpectedStep: it was asked something else.
            UnusedSteps: it was not asked everything.
        """
        if self._wrong is not None:
            raise self._wrong
        if self._steps:
            left = ", ".join(map(repr, self.remaining))
            raise UnusedSteps(f"the script was not used up: no review came of {left}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Check that it was used up, unless the block has failed anyway."""
        if kind is None:
            self.check_used_up()
