"""CPU time of other processes: of those that this one has started, and of a server."""

from __future__ import annotations

import contextlib

import psutil


def others_cpu_s() -> float:
    """CPU seconds, user and system, that all descendants have taken so far, those that have ended included.

    The operating system counts those of other processes in ticks, on Linux of 10 ms.
    """
    this = psutil.Process()
    times = this.cpu_times()
    return times.children_user + times.children_system + _descendants_cpu_s(this)


def server_cpu_s(pid: int) -> float:
    """CPU seconds that a process has taken so far with all its descendants, those that have ended included.

    Raises:
        psutil.Error: there is no such process.
    """
    server = psutil.Process(pid)
    return _cpu_s(server) + _descendants_cpu_s(server)


def _descendants_cpu_s(process: psutil.Process) -> float:
    taken_s = 0.0
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            taken_s += _cpu_s(child)
    return taken_s


def _cpu_s(process: psutil.Process) -> float:
    """Of a process itself, and of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
