"""The conformance kit: does a device, in whatever language it is written, keep to the protocol?

It plays the orchestrator on a loopback socket, with the protocol's own session and codec, and drives the device through
one check after another. `constellation conformance device` is its command line.
"""

from __future__ import annotations

from .checks import CHECKS
from .command import starting
from .kit import Check, CheckReport, check_device
from .stage import Invitation, RunningDevice, Start

__all__ = ["CHECKS", "Check", "CheckReport", "Invitation", "RunningDevice", "Start", "check_device", "starting"]
