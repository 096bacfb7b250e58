"""Child processes that leave nothing behind: captured output with a limit, a time limit, and a whole family killed.

A child gets a session of its own and a mark in its environment, which its descendants inherit. When the call
ends, for whatever reason, everything of that session or with that mark is killed. A descendant that leaves the
session and also clears its environment gets away: this bounds mistakes, it is no sandbox.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
import anyio.abc
import anyio.to_thread
import psutil
from typing_extensions import TypedDict

from ..errors import ToolFailed, ToolTimeout

OUTPUT_LIMIT_BYTES = 128 * 1024
"""How much of each of stdout and stderr is kept: half from the start, half from the end."""

MARK = "CONSTELLATION_CALL"
"""The environment variable that marks a call's processes."""

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_KILL_PASSES = 10
_FIRST_PAUSE_S = 0.001
_TIMEOUT_OUTPUT_CHARACTERS = 1000


class ProcessResult(TypedDict):
    """How a process ended. `exit_code` is minus the signal's number when a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool
    duration_s: float


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
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout_s: float,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    pass_fds: Sequence[int] = (),
) -> ProcessResult:
    """Run a program to its end, or to its time limit, and leave none of its processes behind.

    Raises:
        ToolFailed: the program can't be started.
        ToolTimeout: it did not end in time; carries the end of its output.
    """
    mark = secrets.token_hex(16)
    started = time.monotonic()
    try:
        # Shielded: a cancellation between the fork and the return would lose track of a running process.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env={**env, MARK: mark},
                start_new_session=True,
                pass_fds=pass_fds,
            )
    except FileNotFoundError as error:
        raise ToolFailed(f"there is no program {argv[0]!r} on the PATH of this device") from error
    except (OSError, ValueError) as error:
        raise ToolFailed(f"{argv[0]!r} can't be started: {error}") from error
    out, err = _Output(output_limit_bytes), _Output(output_limit_bytes)
    # All three are pipes, as asked for above.
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    family_gone = False
    try:
        with anyio.move_on_after(timeout_s) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(out.read, process.stdout)
                group.start_soon(err.read, process.stderr)
                group.start_soon(_feed, process.stdin, stdin)
                await process.wait()
                # What the program has left running would hold its pipes open, and this call with them.
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(kill_family, process.pid, mark)
                family_gone = True
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            if not family_gone:
                await anyio.to_thread.run_sync(kill_family, process.pid, mark)
            await process.aclose()
    if scope.cancelled_caught:
        raise ToolTimeout(tool, timeout_s, (out.text() + err.text())[-_TIMEOUT_OUTPUT_CHARACTERS:])
    assert process.returncode is not None  # it has been waited for
    return {
        "exit_code": process.returncode,
        "stdout": out.text(),
        "stderr": err.text(),
        "truncated": bool(out.omitted_bytes or err.omitted_bytes),
        "duration_s": time.monotonic() - started,
    }


async def _feed(stream: anyio.abc.ByteSendStream, data: bytes) -> None:
    async with stream:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it need not read all, or any
            await stream.send(data)


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
