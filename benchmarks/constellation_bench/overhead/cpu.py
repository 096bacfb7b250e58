"""CPU time of this process and of all that it has started."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds, user and system.

    Attributes:
        own_s: Those of this process.
        others_s: Those of its descendants, those that have ended and been waited for included. The operating system
            counts them in ticks, on Linux of 10 ms.
    """

    own_s: float
    others_s: float


def cpu_now() -> Cpu:
    """The CPU time that has been taken so far."""
    this = psutil.Process()
    times = this.cpu_times()
    others = times.children_user + times.children_system
    for child in this.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            taken = child.cpu_times()
            others += taken.user + taken.system + taken.children_user + taken.children_system
    return Cpu(time.process_time(), others)
