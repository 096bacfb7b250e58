"""Child processes that leave nothing behind: output, time, memory and processes with a limit, a whole family killed.

Each program runs under a supervisor (`supervisor.py`), which holds it to its limits and ends when all of its
descendants are gone; where bubblewrap works, in a sandbox besides (`sandbox.py`). When the call ends, for whatever
reason, or this process does, the supervisor kills what is left. Without a sandbox this bounds mistakes: a program
that wants to can still kill its supervisor, or read what the device's user can.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import anyio
import anyio.abc
import anyio.to_thread
import psutil
from typing_extensions import TypedDict

from ..errors import ToolFailed, ToolTimeout
from .confinement import path_of_directory
from .sandbox import Sandbox, sandboxed

OUTPUT_LIMIT_BYTES = 128 * 1024
"""How much of each of stdout and stderr is kept: half from the start, half from the end."""

MARK = "CONSTELLATION_CALL"
"""The environment variable that marks a call's processes."""

SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
"""The script under which programs run."""

_SANDBOX_SAYS = "bwrap: "
_IN_SANDBOX = (
    "on the PATH inside of this device's sandbox, which has the system's programs and the root; "
    "the device's owner can make more of it readable"
)
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_KILL_PASSES = 10
_FIRST_PAUSE_S = 0.001
_GRACE_S = 10.0
_TIMEOUT_OUTPUT_CHARACTERS = 1000

Limit = Literal["processes", "memory"]


class ProcessResult(TypedDict):
    """How a process ended.

    Attributes:
        exit_code: Minus the signal's number when a signal ended it; in a sandbox 128 plus the number.
        truncated: Whether output was left out, in the middle.
        limit: What it was killed for using too much of, if it was.
        confinement: Whether it ran in a sandbox, or only under limits.
    """

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool
    duration_s: float
    limit: Limit | None
    confinement: Literal["bubblewrap", "limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What a call's processes may use.

    Attributes:
        memory_bytes: Memory of all processes together; they are killed beyond it.
        address_space_bytes: Address space of each process, beyond which it gets no more; None for no limit.
        cpu_s: CPU time of each process, in seconds; None for no limit but that on the call's time.
        processes: How many there may be at once; they are killed beyond it.
        file_bytes: Size of any file that they write.
        output_bytes: How much of each of stdout and stderr is kept.
    """

    memory_bytes: int = 4 * 1024**3
    address_space_bytes: int | None = None
    cpu_s: int | None = None
    processes: int = 256
    file_bytes: int = 1024**3
    output_bytes: int = OUTPUT_LIMIT_BYTES


class _Output:
    """The start and the end of a stream, in bounded memory."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    async def read(self, stream: anyio.abc.ByteReceiveStream) -> None:
        async for chunk in stream:
            self._total += len(chunk)
            free = self._half - len(self._head)
            self._head += chunk[:free]
            self._tail += chunk[free:]
            del self._tail[: -self._half]

    @property
    def omitted_bytes(self) -> int:
        return self._total - len(self._head) - len(self._tail)

    def text(self) -> str:
        gap = f"\n[... {self.omitted_bytes} bytes left out ...]\n".encode() if self.omitted_bytes else b""
        return (self._head + gap + self._tail).decode(errors="replace")


def clean_environment(home: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the few variables that programs need, and what the caller gives; none of the agent's secrets."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **kept, "HOME": home, **(given or {})}


async def run_process(
    tool: str,
    argv: Sequence[str],
    *,
    root: Path,
    cwd: str,
    directory: int,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout_s: float,
    limits: ProcessLimits,
    sandbox: Sandbox | None,
    pass_fds: Sequence[int] = (),
) -> ProcessResult:
    """Run a program to its end, or to its time limit, and leave none of its processes behind.

    Args:
        tool: Who asks, for messages.
        argv: The program and its arguments.
        root: The only directory that may be written in a sandbox.
        cwd: Where it starts, relative to the root.
        directory: The same directory, held open.
        env: Its whole environment.
        stdin: What it reads.
        timeout_s: When to kill it.
        limits: What it may use.
        sandbox: How it is to be kept away from the machine; None for not at all.
        pass_fds: Descriptors that it inherits.

    Raises:
        ToolFailed: the program can't be started.
        ToolTimeout: it did not end in time; carries the end of its output.
    """
    if any("\0" in text for text in (*argv, *env, *env.values())):
        raise ToolFailed(f"{argv[0]!r} can't be started: an argument or a variable holds a NUL character")
    mark = secrets.token_hex(16)
    own_env = {**env, MARK: mark}
    wrapped = await anyio.to_thread.run_sync(lambda: sandboxed(sandbox, argv, root=root, cwd=root / cwd, env=own_env))
    with ExitStack() as stack:
        spec, status = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        spec.write(json.dumps(specification(wrapped or argv, own_env, limits)).encode())
        spec.seek(0)
        lifeline, held = stack.enter_context(_pipe())
        started = time.monotonic()
        command = [
            sys.executable,
            "-I",
            "-S",
            SUPERVISOR,
            *(str(each) for each in (spec.fileno(), status.fileno(), lifeline)),
        ]
        # Shielded: a cancellation between the fork and the return would lose track of a running process.
        with anyio.CancelScope(shield=True):
            supervisor = await anyio.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=path_of_directory(directory),
                env={},
                start_new_session=True,
                pass_fds=(spec.fileno(), status.fileno(), lifeline, *pass_fds),
            )
        out, err = _Output(limits.output_bytes), _Output(limits.output_bytes)
        in_time = False
        try:
            with anyio.move_on_after(timeout_s):
                await _communicate(supervisor, out, err, stdin, mark)
                in_time = True
        finally:
            with anyio.CancelScope(shield=True):
                held.close()  # tells the supervisor that the call is over
                await _wait_or_kill(supervisor, status, mark)
        if not in_time:
            raise ToolTimeout(tool, timeout_s, (out.text() + err.text())[-_TIMEOUT_OUTPUT_CHARACTERS:])
        ended = _status(status)
    if ended is None:
        raise ToolFailed(f"what runs {argv[0]!r} was killed, and the program with it")
    if ended.get("error") is not None:
        raise ToolFailed(_why_not_started(argv[0], os.strerror(ended["error"]), "on the PATH of this device"))
    if wrapped is not None and ended["exit_code"] == 1 and err.text().startswith(_SANDBOX_SAYS):
        raise ToolFailed(_why_not_started(argv[0], err.text().strip().rpartition(": ")[2], _IN_SANDBOX))
    return {
        "exit_code": ended["exit_code"],
        "stdout": out.text(),
        "stderr": err.text(),
        "truncated": bool(out.omitted_bytes or err.omitted_bytes),
        "duration_s": time.monotonic() - started,
        "limit": ended["limit"],
        "confinement": "limits" if wrapped is None else "bubblewrap",
    }


async def _communicate(process: anyio.abc.Process, out: _Output, err: _Output, stdin: bytes, mark: str) -> None:
    """Feed and read until the supervisor is gone, and what is left in its pipes is read."""
    # All three are pipes, as asked for by whoever opened it.
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with anyio.create_task_group() as group:
        group.start_soon(out.read, process.stdout)
        group.start_soon(err.read, process.stderr)
        group.start_soon(_feed, process.stdin, stdin)
        await process.wait()
        # What has got away from its supervisor would hold its pipes open, and this call with them.
        if process.returncode != 0:
            await anyio.to_thread.run_sync(kill_family, process.pid, mark)
        group.cancel_scope.deadline = anyio.current_time() + _GRACE_S


async def _feed(stream: anyio.abc.ByteSendStream, data: bytes) -> None:
    async with stream:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it need not read all, or any
            await stream.send(data)


async def _wait_or_kill(supervisor: anyio.abc.Process, status: IO[bytes], mark: str) -> None:
    """Wait for a supervisor that has been told to end; where it doesn't, or did not end well, do its work."""
    with anyio.move_on_after(_GRACE_S):
        await supervisor.wait()
    if supervisor.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(supervisor.pid, signal.SIGKILL)
        await supervisor.wait()
    if _status(status) is None or sys.platform != "linux":
        await anyio.to_thread.run_sync(kill_family, supervisor.pid, mark)
    await supervisor.aclose()


def specification(argv: Sequence[str], env: Mapping[str, str], limits: ProcessLimits) -> dict[str, Any]:
    """What the supervisor is told: a program, its environment, and what it may use."""
    rlimits = {
        "RLIMIT_CPU": limits.cpu_s,
        "RLIMIT_AS": limits.address_space_bytes,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_CORE": 0,
    }
    return {
        "argv": list(argv),
        "env": dict(env),
        "rlimits": {name: value for name, value in rlimits.items() if value is not None},
        "processes": limits.processes,
        "memory_bytes": limits.memory_bytes,
    }


def _status(file: IO[bytes]) -> dict[str, Any] | None:
    """What the supervisor has written of the end; None when it was killed before it could."""
    file.seek(0)
    text = file.read()
    return json.loads(text) if text else None


def _why_not_started(program: str, reason: str, where: str) -> str:
    if reason == os.strerror(errno.ENOENT):
        return f"there is no program {program!r} {where}"
    return f"{program!r} can't be started: {reason}"


@contextmanager
def _pipe() -> Iterator[tuple[int, IO[bytes]]]:
    """A pipe's reading end, and its writing end as a file, which may be closed early."""
    reading, writing = os.pipe()
    try:
        with open(writing, "wb", buffering=0) as held:
            yield reading, held
    finally:
        os.close(reading)


def kill_family(session: int, mark: str) -> None:
    """Kill what is left of a session and all that carries the mark; looks again until nothing is found. Blocks."""
    for attempt in range(_KILL_PASSES):
        family = [process for process in psutil.process_iter() if _belongs(process, session, mark)]
        if not family:
            return
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # They are not our children, so their end can't be awaited; a killed process is gone within this pause.
        time.sleep(_FIRST_PAUSE_S * 2**attempt)


def _belongs(process: psutil.Process, session: int, mark: str) -> bool:
    try:
        in_family = os.getsid(process.pid) == session or process.environ().get(MARK) == mark
        return in_family and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # ended meanwhile, or another user's
        return False
