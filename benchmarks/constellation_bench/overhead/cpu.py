"""CPU time of the processes that this one has started."""

from __future__ import annotations

import contextlib

import psutil


def others_cpu_s() -> float:
    """CPU seconds, user and system, that all descendants have taken so far, those that have ended included.

    The operating system counts those of other processes in ticks, on Linux of 10 ms.
    """
    this = psutil.Process()
    times = this.cpu_times()
    taken_s = times.children_user + times.children_system
    for child in this.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            taken_s += times.user + times.system + times.children_user + times.children_system
    return taken_s
