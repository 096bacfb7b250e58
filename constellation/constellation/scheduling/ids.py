"""What runs, attempts and devices are called."""

from __future__ import annotations

from hashlib import blake2b
from typing import NewType

from ..graph import StarId

RunId = NewType("RunId", str)
AttemptId = NewType("AttemptId", str)
DeviceId = NewType("DeviceId", str)


def attempt_id(run: RunId, star: StarId, number: int) -> AttemptId:
    """The id of one try of one star: `<run>/<star>/<number>`, unique for ever."""
    return f"{run}/{star}/{number}"  # type: ignore[return-value]  # calling a NewType costs as much as the text


_LONGEST_NESTED_ID = 60
"""How long the readable form of a nested run's id may be: an attempt's id, made of it, has 200 at most."""


def nested_id(run: RunId, star: StarId, number: int = 1) -> RunId:
    """The id of the run that a try of a nested constellation is: no two share one, and it fits into an attempt's id."""
    plain = f"{run}:{star}" if number == 1 else f"{run}:{star}/{number}"
    if number == 1 and ":" not in star and len(plain) <= _LONGEST_NESTED_ID:
        return RunId(plain)
    return RunId(f"{run.partition(':')[0]}::{blake2b(plain.encode(), digest_size=16).hexdigest()}")


def parse_attempt(attempt: str) -> tuple[RunId, StarId] | None:
    """The run and the star of an attempt's id; None when it is not of that form."""
    parts = attempt.split("/")
    return (parts[0], parts[1]) if len(parts) == 3 else None  # type: ignore[return-value]  # see above
