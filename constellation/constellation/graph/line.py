"""A TaskStarLine: one star waits for another, and on what outcome of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict

from .conditions import compile_condition
from .errors import InvalidLine
from .record import record
from .star import StarId


class Trigger(StrEnum):
    """The outcome of the source that meets a line."""

    SUCCESS = "success"
    """The source succeeded."""
    FAILURE = "failure"
    """The source failed."""
    COMPLETION = "completion"
    """The source ended, in whichever way, skipped and cancelled included."""
    WHEN = "when"
    """The source succeeded and an expression over its output is true."""


@record
class TaskStarLine:
    """A dependency of `target` on `source`. There is at most one between two stars.

    Attributes:
        source: The star that is waited for.
        target: The star that waits.
        trigger: What meets the line; `WHEN` when `when` is given.
        when: A CEL expression over `output`, the source's output, for the trigger `WHEN`.
    """

    source: StarId
    target: StarId
    trigger: Trigger = Trigger.SUCCESS
    when: str | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not isinstance(self.target, str):
            raise InvalidLine(f"{self}: both its ends have to be ids of stars")
        if not isinstance(self.trigger, Trigger):
            raise InvalidLine(f"{self}: there is no trigger {self.trigger!r}; give one of {', '.join(Trigger)}")
        if self.source == self.target:
            raise InvalidLine(f"star {self.source!r} can't wait for itself; remove this line")
        if self.when is not None:
            if self.trigger is Trigger.SUCCESS:
                object.__setattr__(self, "trigger", Trigger.WHEN)
            elif self.trigger is not Trigger.WHEN:
                raise InvalidLine(f"{self}: an expression goes with trigger 'when', not {self.trigger.value!r}")
            compile_condition(self.when)
        elif self.trigger is Trigger.WHEN:
            raise InvalidLine(f"{self}: trigger 'when' needs an expression in `when`")

    def __str__(self) -> str:
        return f"line {self.source!r} → {self.target!r}"
