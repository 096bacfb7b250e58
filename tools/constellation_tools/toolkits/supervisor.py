"""Runs one program for one call, holds it to its limits, and ends only when none of its processes is left.

A script of its own, started as `python -I -S supervisor.py SPEC STATUS LIFELINE` with three descriptors: what to run
(JSON), where to say how it ended (JSON), and the reading end of a pipe that is closed when the call is over or its
caller is gone. It uses the standard library only, so that it starts fast.

Where another program starts it, which passes on no such descriptors, it is `supervisor.py --in FOLDER ARGUMENT…`: the
folder has `spec` and `lifeline`, which is a named pipe, and gets `status`; the arguments are added to the program's.

On Linux it is a subreaper: a process that leaves its session, forks twice and clears its environment becomes a
child of this one when its parent ends, and is found by that. A limit on processes that the kernel doesn't enforce
for root, and one on the memory of all processes together, which it doesn't know, are watched from here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import sys
from typing import Any

WATCH_S = 0.05
"""How often the family is counted and its memory added up."""

PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"


def main() -> None:
    """Run what the specification says."""
    if sys.argv[1] == "--in":
        folder, more = sys.argv[2], sys.argv[3:]
        spec_fd = os.open(f"{folder}/spec", os.O_RDONLY)
        status_fd = os.open(f"{folder}/status", os.O_WRONLY | os.O_CREAT, 0o600)
        lifeline = os.open(f"{folder}/lifeline", os.O_RDONLY | os.O_NONBLOCK)  # waits for no writer that is gone
    else:
        spec_fd, status_fd, lifeline = (int(argument) for argument in sys.argv[1:4])
        more = []
    for descriptor in (spec_fd, status_fd, lifeline):
        os.set_inheritable(descriptor, False)
    with open(spec_fd, encoding="utf-8") as file:
        spec = json.load(file)
    spec["argv"] += more
    if LINUX:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    status = supervise(spec, lifeline)
    with open(status_fd, "w", encoding="utf-8") as file:
        json.dump(status, file)


def supervise(spec: dict[str, Any], lifeline: int) -> dict[str, Any]:
    """Start the program, wait for its end, that of the call or a limit, and kill what is left."""
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if LINUX else os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, frame: asked_to_stop.append(got))
    signal.signal(signal.SIGCHLD, lambda got, frame: None)
    failed_read, failed_write = os.pipe()
    program = os.fork()
    if program == 0:
        become(spec, failed_write)
    os.close(failed_write)
    # What it reads and writes is its own: output ends when the last of its processes is gone.
    with open(os.devnull, "r+b") as nothing:
        for descriptor in (0, 1, 2):
            os.dup2(nothing.fileno(), descriptor)
    with open(failed_read, "rb") as file:
        failure = file.read()
    if failure:
        os.waitpid(program, 0)
        return {"error": int(failure)}
    exit_code: int | None = None
    limit: str | None = None
    while not asked_to_stop:
        ready, _, _ = select.select([lifeline, wake_read], [], [], WATCH_S)
        if lifeline in ready:
            break
        with contextlib.suppress(BlockingIOError):
            os.read(wake_read, 512)
        exit_code = reap(program)
        if exit_code is not None:
            break
        limit = exceeded(spec)
        if limit is not None:
            break
    code = kill_family(program)
    return {"exit_code": code if exit_code is None else exit_code, "limit": limit}


def become(spec: dict[str, Any], failed: int) -> None:
    """Turn into the program; tell why when that fails."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        limits = {**spec["rlimits"], "RLIMIT_NPROC": tasks_of_user() + spec["processes"]}
        for name, value in limits.items():
            kind = getattr(resource, name, None)
            if kind is None:
                continue
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        os.write(failed, str(error.errno or errno.EINVAL).encode())
    except ValueError:
        os.write(failed, str(errno.EINVAL).encode())
    finally:
        os._exit(127)


def reap(program: int) -> int | None:
    """Collect what has ended; returns the exit code of the program if it is among it."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == program:
                code = os.waitstatus_to_exitcode(status)
    return code


def kill_family(program: int) -> int | None:
    """Kill all descendants until there are none; returns the exit code of the program if it has ended only now."""
    code = None
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return code
        if pid == program:
            code = os.waitstatus_to_exitcode(status)


def exceeded(spec: dict[str, Any]) -> str | None:
    """The limit that the family has gone beyond, if any."""
    family = descendants()
    if len(family) > spec["processes"]:
        return "processes"
    memory = spec["memory_bytes"]
    if sum(resident(pid) for pid in family) > memory and sum(proportional(pid) for pid in family) > memory:
        return "memory"
    return None


def descendants() -> list[int]:
    """All processes below this one, parents first; empty where there is no /proc."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        parent = waiting.pop()
        children: list[int] = []
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:
                    children += map(int, file.read().split())
        except (OSError, ValueError):  # it has ended meanwhile
            pass
        found += children
        waiting += children
    return found


def resident(pid: int) -> int:
    """The memory of a process in bytes, what it shares with others included."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):  # it has ended meanwhile
        return 0


def proportional(pid: int) -> int:
    """The memory of a process in bytes, with its share of what it shares with others; dear, and exact."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, ValueError):
        return resident(pid)


def tasks_of_user() -> int:
    """Count the processes and threads of this user, which is what the limit on processes counts."""
    count = 0
    try:
        names = os.listdir("/proc")
    except OSError:
        return 256  # macOS: what a desktop runs; the limit is a rough one there
    user = os.getuid()
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


if __name__ == "__main__":
    main()
