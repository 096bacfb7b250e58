"""Errors of the testing room.

TestingError
├── InvariantBreached   the simulated world saw something that must never happen: a bug in what it drives
├── ScriptError         a script was not followed
│   ├── UnexpectedStep  something was asked that the script does not have next
│   └── UnusedSteps     the test ended before the script did
└── ServerFailed        a PostgreSQL server for a test can't be made, started or stopped
"""

from __future__ import annotations

from collections.abc import Sequence

LAST_LINES = 30
"""How many lines of the trace an `InvariantBreached` shows."""


class TestingError(Exception):
    """Base of all errors of this package."""

    __test__ = False  # not a class of tests, for all that its name says to pytest


class InvariantBreached(TestingError):
    """Raised when an invariant does not hold in a simulated world.

    Attributes:
        invariant: The name of the function in `constellation.testing.invariants` that says what must hold.
        seed: What replays it.
        at_s: When it was noticed, in virtual seconds after the world began.
        story: What had happened to the star that it is about, or to the whole world.
    """

    def __init__(self, invariant: str, problem: str, *, seed: int, at_s: float, story: Sequence[str]) -> None:
        shown = "\n  ".join(story[-LAST_LINES:])
        super().__init__(f"{invariant}: {problem}\nseed {seed} at {at_s:.3f} s, after:\n  {shown}")
        self.invariant = invariant
        self.problem = problem
        self.seed = seed
        self.at_s = at_s
        self.story = tuple(story)


class ScriptError(TestingError):
    """Base of the errors of scripts."""


class UnexpectedStep(ScriptError):
    """Raised when something is asked of a script that it does not have next."""


class UnusedSteps(ScriptError):
    """Raised at the end when steps of a script were never asked for."""


class ServerFailed(TestingError):
    """Raised when a program of a PostgreSQL server fails; says which, and what it said last."""

    def __init__(self, program: str, said: str) -> None:
        super().__init__(f"{program} failed: {said}")
