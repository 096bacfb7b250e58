"""Scheduling: a deterministic state machine for runs and the fleet of devices. Events go in, commands come out."""

from .commands import Step
from .errors import InvariantBroken, NotWaiting, RunEnded, RunExists, SchedulingError, UnknownRun
from .events import AttemptId, DeviceId, JournalEntry, RunEvent, RunId, RunOptions
from .inputs import FleetEvent, Offer
from .placement import DeviceLoad, LeastLoaded, PlacementPolicy
from .run import RunMachine
from .scheduler import Scheduler

__all__ = [
    "AttemptId",
    "DeviceId",
    "DeviceLoad",
    "FleetEvent",
    "InvariantBroken",
    "JournalEntry",
    "LeastLoaded",
    "NotWaiting",
    "Offer",
    "PlacementPolicy",
    "RunEnded",
    "RunEvent",
    "RunExists",
    "RunId",
    "RunMachine",
    "RunOptions",
    "Scheduler",
    "SchedulingError",
    "Step",
    "UnknownRun",
]
