"""What may go wrong in a simulated world, how often, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from .clock import VirtualClock
from .trace import Trace


class Behaviour(Enum):
    """What a device does with an attempt that it is given."""

    SUCCEEDS = "succeeds"
    SUCCEEDS_AT_ONCE = "succeeds at once"
    """The work is done on the spot, so that its result is the first that the device says of it."""
    FAILS = "fails"
    HANGS = "hangs"
    """It begins, and ends only when it is told to stop."""
    ANSWERS_LATE = "answers late"
    """It does not hear that it is to stop, and succeeds long after its time limit."""
    LIES = "lies"
    """It succeeds, and says other things as well that are not true: about other epochs, attempts and devices."""
    CRASHES = "crashes"
    """The device dies in the middle of it, perhaps after its effect, and comes back with its record of attempts."""
    FORGETS = "forgets"
    """The same, but it comes back with nothing."""
    REJECTS = "rejects"
    IGNORES = "ignores"
    """It neither takes the attempt nor refuses it."""
    GOES_SILENT = "goes silent"
    """The device stands still for a while, with its connection open."""


B = Behaviour

USUAL_BEHAVIOURS: Mapping[Behaviour, float] = {
    B.SUCCEEDS: 0.46,
    B.SUCCEEDS_AT_ONCE: 0.12,
    B.FAILS: 0.10,
    B.HANGS: 0.04,
    B.ANSWERS_LATE: 0.04,
    B.LIES: 0.07,
    B.CRASHES: 0.04,
    B.FORGETS: 0.02,
    B.REJECTS: 0.04,
    B.IGNORES: 0.04,
    B.GOES_SILENT: 0.03,
}


@dataclass(frozen=True, slots=True)
class Faults:
    """How much goes wrong. Shares and chances are between 0 and 1.

    Attributes:
        until_s: When everything stops going wrong, in virtual seconds after the world began.
        behaviours: The shares of what devices do with attempts.
        disturbances_per_s: How many things happen from outside in a virtual second, on average: connections are cut,
            networks partitioned, devices and the orchestrator killed, people edit, hold, pause and cancel.
        crash: The chance that the orchestrator dies at each of the points of a turn at which it may.
        hostile: The chance that the network of a world also repeats and reorders frames within a connection.
    """

    until_s: float = 12.0
    behaviours: Mapping[Behaviour, float] = field(default_factory=lambda: USUAL_BEHAVIOURS)
    disturbances_per_s: float = 2.0
    crash: float = 0.016
    hostile: float = 0.25

    @classmethod
    def none(cls) -> Faults:
        """A world in which nothing goes wrong."""
        return cls(until_s=0.0, behaviours={B.SUCCEEDS: 1.0}, disturbances_per_s=0.0, crash=0.0, hostile=0.0)


START = 1_000.0
"""The virtual time at which worlds begin."""


class Scene:
    """What all parts of one world share.

    Attributes:
        seed: Where all chance comes from.
        clock: The time.
        rng: The one source of chance.
        trace: What has happened.
        faults: What may go wrong.
        calm: Whether nothing goes wrong any more.
        hostile: Whether the network repeats and reorders frames.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.seed = seed
        self.clock = VirtualClock(START)
        self.rng = Random(seed)
        self.trace = Trace(self.clock)
        self.faults = faults
        self.calm = faults.until_s <= 0
        self.hostile = not self.calm and self.rng.random() < faults.hostile

    def chance(self, probability: float) -> bool:
        """Whether something of this probability goes wrong now; never once the world is calm."""
        return not self.calm and self.rng.random() < probability

    def soon(self) -> float:
        """A short while, in seconds: what a message takes, or a group commit."""
        return self.rng.uniform(0.001, 0.05)
