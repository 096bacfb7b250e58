"""A TaskStar: one task of a constellation, as it was specified. Its state lives in the constellation."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import field
from types import NoneType
from typing import Annotated, NewType

from pydantic import ConfigDict, Strict

from .errors import InvalidStar
from .record import record
from .work import Work, fault_of

StarId = NewType("StarId", str)

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What an id looks like: it never needs quoting on a wire, in a reference or in a terminal, and is never a path."""

_LARGEST = sys.float_info.max
"""The largest number that can be reckoned with: whole numbers go beyond it, and then can't be compared or added."""

_Amount = Annotated[int, Strict()] | Annotated[float, Strict()]

NO_REQUIREMENTS: Mapping[str, str | float] = {}


def slug(name: str) -> str:
    """An id made of a free name: what an id may not hold becomes `-`.

    Examples:
        >>> slug("scan src/main.c")
        'scan-src-main.c'
    """
    text = re.sub(r"[^A-Za-z0-9._:]+", "-", name).strip("-._:")
    return text[:100].rstrip("-._:") or "star"


@record
class RetryPolicy:
    """When and how often failed work is tried again.

    The delay before try `n` (n ≥ 2) is `backoff_s * factor ** (n - 2)`, at most `max_backoff_s`, less a random
    share of it up to `jitter`. What a lost device costs does not count as a try of a failing task. A nested
    constellation is run anew as a whole, unless work in it has an unknown outcome and the star is not declared
    idempotent. A person who denied an approval, or did not answer it in time, is not asked again.

    Attributes:
        max_attempts: Tries in all, at least 1.
        backoff_s: Seconds before the second try.
        factor: How much longer each delay is than the one before.
        max_backoff_s: The longest delay, in seconds.
        jitter: The random share of a delay, 0 to 1.
        on: Error types that are worth another try; all of them when empty.
    """

    max_attempts: int = 1
    backoff_s: float = 0.5
    factor: float = 2.0
    max_backoff_s: float = 60.0
    jitter: float = 0.5
    on: tuple[str, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name, types, what in _RETRY_TYPES:
            value = getattr(self, name)
            if not isinstance(value, types):
                raise InvalidStar(f"retry.{name} is {value!r}, and has to be {what}")
        if not all(isinstance(name, str) for name in self.on):
            raise InvalidStar(f"retry.on is {self.on!r}, and has to be names of error types")
        if self.max_attempts < 1:
            raise InvalidStar(f"retry.max_attempts is {self.max_attempts}, and has to be at least 1")
        for name in ("backoff_s", "max_backoff_s"):
            if not 0 <= getattr(self, name) <= _LARGEST:
                raise InvalidStar(f"retry.{name} is {getattr(self, name)}, and has to be 0 or more seconds")
        if not 1 <= self.factor <= _LARGEST:
            raise InvalidStar(f"retry.factor is {self.factor}, and has to be at least 1")
        if not 0 <= self.jitter <= 1:
            raise InvalidStar(f"retry.jitter is {self.jitter}, and has to be between 0 and 1")


_RETRY_TYPES: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("max_attempts", (int,), "a whole number"),
    ("backoff_s", (int, float), "seconds"),
    ("factor", (int, float), "a number"),
    ("max_backoff_s", (int, float), "seconds"),
    ("jitter", (int, float), "a number"),
    ("on", (tuple, list), "names of error types"),
)

NO_RETRY = RetryPolicy()

_FIELD_TYPES: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("name", (str,), "text"),
    ("description", (str,), "text"),
    ("requires", (dict, Mapping), "labels and amounts by their names"),
    ("device", (str, NoneType), "the id of a device, or None"),
    ("timeout_s", (int, float, NoneType), "seconds, or None"),
    ("retry", (RetryPolicy,), "a RetryPolicy"),
    ("priority", (int,), "a whole number"),
    ("idempotent", (bool, NoneType), "true, false or None"),
)
"""What the fields of a star have to be. A graph that is built in Python is not read by anything that would find out."""


@record
class TaskStar:
    """One task.

    Attributes:
        id: Unique in its constellation.
        work: What it does.
        name: For people; the id when empty.
        description: For people and planners.
        requires: What a device must have: text is a label that must be equal, a number an amount of a resource
            that is reserved while the star runs (`{"os": "linux", "gpu": 1}`).
        device: The one device that it may run on, or None.
        timeout_s: Seconds that one attempt may take, or that an approval waits; None without limit.
        retry: What to do when an attempt fails.
        priority: Higher goes first among the stars that are ready.
        idempotent: Whether running it twice is as good as once, so that it may be run again when a device is lost
            in the middle of it; None leaves that to what the tool says of itself.
    """

    id: StarId
    work: Work
    name: str = ""
    description: str = ""
    requires: Mapping[str, str | _Amount] = field(default_factory=lambda: NO_REQUIREMENTS)
    device: str | None = None
    timeout_s: float | None = None
    retry: RetryPolicy = NO_RETRY
    priority: int = 0
    idempotent: bool | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not ID_PATTERN.fullmatch(self.id):
            raise InvalidStar(
                f"{self.id!r} can't be a star's id: use letters, digits and . _ : - , beginning with a letter or digit"
            )
        for name, types, what in _FIELD_TYPES:
            value = getattr(self, name)
            if not isinstance(value, types):
                raise InvalidStar(f"star {self.id!r}: {name} is {value!r}, and has to be {what}")
        fault = fault_of(self.work)
        if fault is not None:
            raise InvalidStar(f"star {self.id!r}: {fault}")
        if self.timeout_s is not None and not 0 < self.timeout_s <= _LARGEST:
            raise InvalidStar(f"star {self.id!r}: timeout_s is {self.timeout_s}, and has to be over 0; or leave it out")
        for key, value in self.requires.items():
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise InvalidStar(
                    f"star {self.id!r}: requires.{key} is {value!r}; give text for a label or a number for a resource"
                )
            if not isinstance(value, str) and not 0 <= value <= _LARGEST:
                raise InvalidStar(f"star {self.id!r}: requires.{key} is {value!r}, and can't be an amount")

    @property
    def title(self) -> str:
        """The name for people: `name`, or the id without one."""
        return self.name or self.id
