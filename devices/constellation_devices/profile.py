"""What this machine is and offers: the profile that a device shows when it joins.

`detect_machine` looks at the machine (processors, memory, accelerators) once per process; `build_profile` adds
what a particular device was told about itself. Looking is best effort: what can't be found out is left empty.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from constellation_protocol.messages import DeviceProfile, Gpu, ToolInfo
from constellation_tools import Tool

_NVIDIA_SMI_TIMEOUT_S = 5.0
_MIB = 1024**2
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts about a machine that do not change while a device runs on it.

    Attributes:
        os: Operating system in lower case: `linux`, `darwin`, `windows`.
        arch: Processor architecture by its usual name: `x86_64`, `arm64`.
        hostname: The machine's own name.
        python: Version of the interpreter.
        cpus: Logical processors that this process may use.
        memory_bytes: Physical memory, 0 when unknown.
        gpus: Accelerators that `nvidia-smi` lists.
    """

    os: str
    arch: str
    hostname: str
    python: str
    cpus: int
    memory_bytes: int
    gpus: tuple[Gpu, ...]


@lru_cache(maxsize=1)
def detect_machine() -> Machine:
    """Look at this machine. Takes up to a few hundred milliseconds where there are GPUs; remembered afterwards."""
    import psutil  # imported here: only a device that starts needs it

    arch = platform.machine().lower()
    return Machine(
        os=platform.system().lower(),
        arch={"amd64": "x86_64", "aarch64": "arm64"}.get(arch, arch),
        hostname=socket.gethostname(),
        python=platform.python_version(),
        cpus=_usable_cpus(),
        memory_bytes=int(psutil.virtual_memory().total),
        gpus=_nvidia_gpus(),
    )


def build_profile(
    machine: Machine,
    *,
    tools: Iterable[Tool[..., Any]],
    slots: int,
    labels: Mapping[str, str],
    resources: Mapping[str, float],
) -> DeviceProfile:
    """Combine what was found out with what the device was told; what it was told wins."""
    found_labels = {"os": machine.os, "arch": machine.arch, "hostname": machine.hostname}
    found_resources = {
        "cpu": float(machine.cpus),
        "memory_gb": round(machine.memory_bytes / _GIB, 2),
        "gpu": float(len(machine.gpus)),
    }
    return DeviceProfile(
        os=machine.os,
        arch=machine.arch,
        hostname=machine.hostname,
        python=machine.python,
        agent=f"constellation-devices/{_agent_version()}",
        pid=os.getpid(),
        cpus=machine.cpus,
        memory_bytes=machine.memory_bytes,
        gpus=machine.gpus,
        labels={name: value for name, value in found_labels.items() if value} | dict(labels),
        resources=found_resources | {name: float(amount) for name, amount in resources.items()},
        slots=slots,
        tools=tuple(describe_tool(tool) for tool in tools),
    )


def describe_tool(tool: Tool[..., Any]) -> ToolInfo:
    """Say of a tool what the orchestrator needs to check and place calls of it."""
    return ToolInfo(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        idempotent=tool.idempotent,
    )


def parse_nvidia_smi(listing: str) -> tuple[Gpu, ...]:
    """Read the lines `name, memory in MiB` of `nvidia-smi`; lines that say something else are left out."""
    gpus = []
    for line in listing.splitlines():
        name, separator, memory = line.rpartition(",")
        if separator and memory.strip().isdecimal():
            gpus.append(Gpu(name=name.strip(), memory_bytes=int(memory) * _MIB))
    return tuple(gpus)


def _nvidia_gpus() -> tuple[Gpu, ...]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        listing = subprocess.run(
            [command, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_NVIDIA_SMI_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ()  # installed but not working: a machine without usable GPUs
    return parse_nvidia_smi(listing.stdout)


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _agent_version() -> str:
    try:
        return metadata.version("constellation-agents")
    except metadata.PackageNotFoundError:
        return "unknown"
