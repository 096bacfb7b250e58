"""The machine that figures are taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from constellation.graph.order import COMPILED


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, such as `ext4`; `unknown` where that can't be told."""
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    return next((mounts[place] for place in _upwards(path.resolve()) if place in mounts), "unknown")


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def host() -> dict[str, Any]:
    """The machine that figures were taken on, JSON."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiled": COMPILED,
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
