"""Errors of the planner.

PlannerError
├── PlannerMisconfigured   a budget, a policy or a limit makes no sense, or can't be kept
├── PlanFailed             no plan came of a request; knows what the model was told last
├── NothingAnswered        the model has answered the request without a word
└── BudgetUsedUp           a call would be beyond the budget; knows which
"""

from __future__ import annotations

from collections.abc import Sequence


class PlannerError(Exception):
    """Base of all errors of this package."""


class PlannerMisconfigured(PlannerError, ValueError):
    """Raised when a setting makes no sense or can't be kept, such as a budget in money where no price is known."""


class PlanFailed(PlannerError):
    """Raised when a model has not made a plan, or not come to an end with an edit, in the rounds that it has.

    Attributes:
        problems: What it was last told that is wrong.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        shown = "".join(f"\n  {problem}" for problem in problems[:5])
        super().__init__(f"{message}{shown}")
        self.problems = tuple(problems)


class NothingAnswered(PlannerError):
    """Raised when a model was asked for the answer to a request, and gave no text."""


class BudgetUsedUp(PlannerError):
    """Raised instead of a call of the model that the budget has nothing left for.

    Attributes:
        what: What is used up: `calls`, `tokens`, `money` or `time`.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what
