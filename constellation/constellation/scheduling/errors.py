"""Errors of scheduling.

SchedulingError
├── UnknownRun       a run that this scheduler does not hold
├── RunExists        a run is to be started under an id that is in use
├── RunEnded         something was asked of a run that has ended
├── InvalidOptions   options of a run that make no sense
├── NotWaiting       an answer to an approval that nobody is waiting for
└── InvariantBroken  validate mode found the state inconsistent: a bug of ours
"""

from __future__ import annotations


class SchedulingError(Exception):
    """Base of all errors of this package."""


class UnknownRun(SchedulingError, KeyError):
    """Raised when an event names a run that the scheduler does not hold."""

    def __init__(self, run: str) -> None:
        super().__init__(f"there is no run {run!r} here")
        self.run = run

    def __str__(self) -> str:
        return str(self.args[0])


class RunExists(SchedulingError):
    """Raised when a run is started, or brought back, under an id that the scheduler holds already."""

    def __init__(self, run: str) -> None:
        super().__init__(f"there is a run {run!r} already; give the new one another id")
        self.run = run


class RunEnded(SchedulingError):
    """Raised when an edit, a cancel or a pause comes after the run has ended."""

    def __init__(self, run: str, state: str) -> None:
        super().__init__(f"run {run!r} has {state} already")
        self.run = run


class InvalidOptions(SchedulingError, ValueError):
    """Raised when options of a run are made that make no sense; the message names the option."""


class NotWaiting(SchedulingError):
    """Raised when an approval is answered that is not waiting for an answer."""

    def __init__(self, star: str) -> None:
        super().__init__(f"star {star!r} is not waiting for an approval")
        self.star = star


class InvariantBroken(SchedulingError):
    """Raised in validate mode when the state is inconsistent after a transition; a bug of ours, never the user's."""
