"""For tests of what runs on Constellation: virtual time, scripted planners, fake devices, and a simulated world."""

from .clock import Alarm, VirtualClock
from .device import FakeDevice
from .errors import InvariantBreached, ScriptError, TestingError, UnexpectedStep, UnusedSteps
from .faults import Behaviour, Faults
from .planner import ScriptedPlanner
from .world import SimulatedWorld

__all__ = [
    "Alarm",
    "Behaviour",
    "FakeDevice",
    "Faults",
    "InvariantBreached",
    "ScriptError",
    "ScriptedPlanner",
    "SimulatedWorld",
    "TestingError",
    "UnexpectedStep",
    "UnusedSteps",
    "VirtualClock",
]
