"""What a run remembers of a star between its becoming ready and its end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..graph import StarError, StarId, TaskStar
from .events import AttemptId, DeviceId


class StopCause(Enum):
    """Why an attempt is being stopped, which decides what becomes of its star."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


class Attempt:
    """One try of one star, from its assignment to its end.

    Attributes:
        device: With `epoch` and `id`, the fence: what does not match all three is not about this attempt.
        memory: The name of the device's record of attempts.
        idempotent: Whether the work may be repeated when nobody knows whether it was done.
        stopping: Why it is being stopped, or None.
        reason: The same in words.
        overdue_at: When the orchestrator gives it up for taking too long; None before it starts, or without limit.
        unconfirmed: No device has spoken of it since the orchestrator was restarted.
        recovered: It was brought back from the journal: what its device said of it meanwhile may have gone unheard.
        leased_at: When it was last given to its device, which should soon begin with it.
    """

    id: AttemptId
    star: StarId
    device: DeviceId
    epoch: int
    idempotent: bool
    memory: str
    assigned_at: float
    leased_at: float
    # What it begins with stands in the class: most have nothing else of these to the end.
    started: bool = False
    stopping: StopCause | None = None
    reason: str = ""
    overdue_at: float | None = None
    unconfirmed: bool = False
    recovered: bool = False

    def __init__(
        self,
        id: AttemptId,
        star: StarId,
        device: DeviceId,
        epoch: int,
        idempotent: bool,
        memory: str,
        assigned_at: float,
    ) -> None:
        self.id = id
        self.star = star
        self.device = device
        self.epoch = epoch
        self.idempotent = idempotent
        self.memory = memory
        self.assigned_at = self.leased_at = assigned_at


class Tries:
    """The tries of one star.

    Attributes:
        spec: The star as it was when it last became ready.
        arguments: Its arguments with all references resolved.
        attempts: How many attempts were made; their numbers are never used again.
        failures: How many of them failed by themselves, for the retry policy.
        losses: How many lost their device, while their orchestrator went on.
        turned_away: How often a device was too busy to take it.
        attempt: The one that is going on.
        waiting: A retry delay is running.
        overdue: For a nested constellation that has taken too long, and whose run is being ended: the error.
        avoid: Devices that have refused this star.
    """

    spec: TaskStar
    arguments: Mapping[str, Any]
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    turned_away: int = 0
    attempt: Attempt | None = None
    waiting: bool = False
    overdue: StarError | None = None
    avoid: frozenset[DeviceId] = frozenset()

    def __init__(self, spec: TaskStar, arguments: Mapping[str, Any]) -> None:
        self.spec = spec
        self.arguments = arguments
