"""Measuring in a process of its own: a fresh interpreter, so that no subject of a benchmark disturbs another.

`measured_apart` calls a function there and brings back what it returns; `measuring.py` is the other side. Whatever that
process has started is gone when `measured_apart` returns, also when it is cancelled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import psutil
from anyio.abc import Process

from .errors import ProcessFailed, ProcessTimedOut

GRACE_S = 5.0
"""How long a process that is interrupted may take to stop what it has started."""

TOLD_CHARACTERS = 300
"""How much of the last line of a process that failed is told."""


async def measured_apart(function: str, arguments: Mapping[str, Any], *, within: Path, timeout_s: float) -> Any:
    """Call a function in a fresh interpreter.

    Args:
        function: Which, `module:name`. It is called with `arguments` and `folder`, an empty directory that is removed
            afterwards, and returns JSON.
        arguments: Its keyword arguments, JSON.
        within: Where that directory is made.
        timeout_s: After how many seconds the process is ended.

    Raises:
        ProcessFailed: it raised, or the process died.
        ProcessTimedOut: it took too long.
    """
    with TemporaryDirectory(prefix="constellation-bench-", dir=within, ignore_cleanup_errors=True) as place:
        folder, answer, said = Path(place, "folder"), Path(place, "answer.json"), Path(place, "said.txt")
        folder.mkdir()
        command = [sys.executable, "-m", f"{__package__}.measuring", function, json.dumps(arguments), folder, answer]
        with said.open("wb") as output:
            process = await anyio.open_process(
                [str(part) for part in command], stdin=DEVNULL, stdout=output, stderr=STDOUT, start_new_session=True
            )
        async with process:
            try:
                with anyio.fail_after(timeout_s):
                    code = await process.wait()
            except TimeoutError:
                raise ProcessTimedOut(f"took longer than {timeout_s:g} s and was ended") from None
            finally:
                await _end(process)
        if code != 0 or not answer.exists():
            raise ProcessFailed(f"ended with {code}: {_last_line(said)}")
        return json.loads(answer.read_text(encoding="utf-8"))


async def _end(process: Process) -> None:
    """End a process with all that it has started: kindly first, so that it can do so itself."""
    if process.returncode is not None:
        return
    with anyio.CancelScope(shield=True):
        family = _descendants(process.pid)
        process.send_signal(signal.SIGINT)
        with anyio.move_on_after(GRACE_S):
            await process.wait()
        kill_all(family)
        if process.returncode is None:
            process.kill()
            await process.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill those of these processes that are still there, and see them gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=GRACE_S)


def _last_line(said: Path) -> str:
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:TOLD_CHARACTERS] if lines else "it said nothing"


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, such as `ext4`; `unknown` where that can't be told."""
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    return next((mounts[place] for place in _upwards(path.resolve()) if place in mounts), "unknown")


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def host() -> dict[str, Any]:
    """The machine that figures were taken on, JSON."""
    import platform

    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
