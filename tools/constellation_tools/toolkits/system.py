"""What the machine is and how busy it is."""

from __future__ import annotations

import platform
import shutil
import socket
import time

import psutil
from typing_extensions import TypedDict

from ..tool import tool
from ..toolset import Toolset


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


def system_tools() -> Toolset:
    """Return the tool that describes the machine."""
    return Toolset([system_profile], name="system")


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
