"""What the machine is, how busy it is, and what runs on it; nothing is changed.

Values of environment variables and arguments of programs are never told: people keep passwords there.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from typing import Annotated, Any

import psutil
from pydantic import Field
from typing_extensions import TypedDict

from ..context import ToolContext
from ..tool import Tool, tool
from ..toolset import Toolset
from ..wording import cleaned
from .system_gpus import Gpu, read_gpus
from .system_processes import system_ports, system_process, system_processes

MAX_DISKS = 100
"""How many file systems are told of."""

MAX_NAMES = 1000
"""How many environment variables are named."""


class SystemProfile(TypedDict):
    """A machine in numbers: sizes in bytes, times in seconds, loads in runnable processes."""

    os: str
    os_release: str
    arch: str
    hostname: str
    python: str
    cpus: int
    physical_cpus: int | None
    load_1m: float
    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    uptime_s: float


class SystemLoad(TypedDict):
    """How busy a machine is: percent of each processor, processes that want to run, sizes in bytes."""

    cpu_percent: float
    cpu_percents: list[float]
    load_1m: float
    load_5m: float
    load_15m: float
    memory_bytes: int
    memory_available_bytes: int
    swap_bytes: int
    swap_used_bytes: int


class SystemDisk(TypedDict):
    """A file system that is mounted."""

    path: str
    device: str
    type: str
    bytes: int
    free_bytes: int


def system_tools() -> Toolset:
    """Return the tools that tell of the machine."""
    tools: list[Tool[..., Any]] = [
        system_profile,
        system_load,
        system_disks,
        system_gpus,
        system_processes,
        system_process,
        system_ports,
        system_environment,
    ]
    return Toolset(tools, name="system")


@tool(read_only=True, open_world=False)
def system_profile() -> SystemProfile:
    """Describe this machine: operating system, processors, memory, disk and load."""
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage("/")
    return {
        "os": platform.system().lower(),
        "os_release": platform.release(),
        "arch": platform.machine(),
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "cpus": psutil.cpu_count() or 1,
        "physical_cpus": psutil.cpu_count(logical=False),
        "load_1m": psutil.getloadavg()[0],
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "uptime_s": time.time() - psutil.boot_time(),
    }


@tool(read_only=True, open_world=False)
def system_load(over_s: Annotated[float, Field(gt=0, le=10)] = 0.5) -> SystemLoad:
    """Measure how busy this machine is: processors, memory and swap.

    Args:
        over_s: For how long to look at the processors, in seconds.
    """
    percents = psutil.cpu_percent(interval=over_s, percpu=True)
    loads = psutil.getloadavg()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "cpu_percent": round(sum(percents) / len(percents), 1),
        "cpu_percents": percents,
        "load_1m": loads[0],
        "load_5m": loads[1],
        "load_15m": loads[2],
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "swap_bytes": swap.total,
        "swap_used_bytes": swap.used,
    }


@tool(read_only=True, open_world=False)
def system_disks(context: ToolContext) -> list[SystemDisk]:
    """List the file systems of this machine, with how much of each is free.

    Args:
        context: Tells when to stop.
    """
    found: list[SystemDisk] = []
    for each in psutil.disk_partitions(all=False)[:MAX_DISKS]:
        context.check_cancelled()
        try:
            usage = shutil.disk_usage(each.mountpoint)
        except OSError:  # a drive without a disk, or a place that this user may not look at
            continue
        found.append(
            {
                "path": cleaned(each.mountpoint, 500),
                "device": cleaned(each.device, 500),
                "type": each.fstype,
                "bytes": usage.total,
                "free_bytes": usage.free,
            }
        )
    return found


@tool(read_only=True, open_world=False)
def system_gpus() -> list[Gpu]:
    """List the NVIDIA GPUs of this machine, with what of each is in use; empty where there are none."""
    return read_gpus()


@tool(read_only=True, open_world=False)
def system_environment() -> list[str]:
    """List the names of the environment variables that tools have on this machine; their values are not told."""
    return [cleaned(name, 200) for name in sorted(os.environ)[:MAX_NAMES]]
