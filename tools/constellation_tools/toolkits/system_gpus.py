"""The GPUs of a machine, by what `nvidia-smi` says of them where it is installed."""

from __future__ import annotations

import csv
import shutil
import subprocess

from typing_extensions import TypedDict

from ..errors import ToolFailed
from ..wording import cleaned

NVIDIA_SMI_S = 10.0
"""How long `nvidia-smi` may take."""

_MIB = 1024**2
_FIELDS = "index,name,memory.total,memory.used,utilization.gpu,temperature.gpu,driver_version"


class Gpu(TypedDict):
    """A GPU; what it does not tell is null."""

    index: int
    name: str
    memory_bytes: int | None
    memory_used_bytes: int | None
    utilization_percent: int | None
    temperature_celsius: int | None
    driver: str


def read_gpus() -> list[Gpu]:
    """Ask `nvidia-smi`; an empty list where it is not installed.

    Raises:
        ToolFailed: it is installed, and does not answer.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=NVIDIA_SMI_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"nvidia-smi does not answer: {error}") from error
    if done.returncode != 0:
        raise ToolFailed(f"nvidia-smi ended with {done.returncode}: {cleaned(done.stderr or done.stdout, 500)}")
    rows = [row for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True) if len(row) >= 7]
    return [_gpu(row) for row in rows if row[0].isdecimal()]


def _gpu(row: list[str]) -> Gpu:
    # A name may hold commas, and stands between the index and five others.
    index, name, (total, used, busy, warm, driver) = row[0], ", ".join(row[1:-5]), row[-5:]
    memory, in_use = _number(total), _number(used)
    return {
        "index": int(index),
        "name": cleaned(name, 200),
        "memory_bytes": None if memory is None else memory * _MIB,
        "memory_used_bytes": None if in_use is None else in_use * _MIB,
        "utilization_percent": _number(busy),
        "temperature_celsius": _number(warm),
        "driver": cleaned(driver, 200),
    }


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None  # else it is `[N/A]` or the like
