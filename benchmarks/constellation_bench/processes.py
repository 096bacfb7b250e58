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
from collections.abc import Mapping
from dataclasses import dataclass
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
        exchange = _Exchange.within(Path(place))
        process = await exchange.begin(function, arguments)
        async with process:
            try:
                with anyio.fail_after(timeout_s):
                    code = await process.wait()
            except TimeoutError:
                raise ProcessTimedOut(f"took longer than {timeout_s:g} s and was ended") from None
            finally:
                await _end(process)
        return exchange.answered(code)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """The files by which two processes exchange what one asks and the other answers.

    Everybody may read a process's command line, so that arguments, which may hold a URL's password, are in a file.

    Attributes:
        folder: The directory for what is measured.
        question: The arguments.
        answer: What the function has returned.
        said: What the process has printed.
    """

    folder: Path
    question: Path
    answer: Path
    said: Path

    @classmethod
    def within(cls, place: Path) -> _Exchange:
        folder = place / "folder"
        folder.mkdir()
        return cls(folder, place / "question.json", place / "answer.json", place / "said.txt")

    async def begin(self, function: str, arguments: Mapping[str, Any]) -> Process:
        """Start the process, in a session of its own: a Ctrl-C at the terminal is for this process to pass on."""
        program = [sys.executable, "-m", f"{__package__}.measuring"]
        self.question.write_text(json.dumps(arguments), encoding="utf-8")  # in a directory of this user's alone
        command = [*program, function, str(self.question), str(self.folder), str(self.answer)]
        output = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            return await anyio.open_process(
                command, stdin=DEVNULL, stdout=output, stderr=STDOUT, start_new_session=True
            )
        finally:
            os.close(output)

    def answered(self, code: int) -> Any:
        if code != 0 or not self.answer.exists():
            raise ProcessFailed(f"ended with {code}: {self._last_line()}")
        return json.loads(self.answer.read_text(encoding="utf-8"))

    def _last_line(self) -> str:
        """The last line that says something: tracebacks of groups of errors end with a drawn one."""
        lines = self.said.read_text(encoding="utf-8", errors="replace").splitlines()
        words = (line.strip(" |+-") for line in reversed(lines))
        return next((line[:TOLD_CHARACTERS] for line in words if line), "it said nothing")


async def _end(process: Process) -> None:
    """End a process with all that it has started: kindly first, so that it can do so itself."""
    with anyio.CancelScope(shield=True):
        family = _family(process.pid)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            with anyio.move_on_after(GRACE_S):
                await process.wait()
        kill_all([*family, *_family(process.pid)])
        if process.returncode is None:
            process.kill()
            await process.wait()


def _family(leader: int) -> list[psutil.Process]:
    """What a process has started: its descendants, and what is still in its session after its own parent has died."""
    found = [process for process in psutil.process_iter() if process.pid != leader and _session(process.pid) == leader]
    with contextlib.suppress(psutil.NoSuchProcess):
        found += psutil.Process(leader).children(recursive=True)
    return found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill those of these processes that are still there, and see them gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=GRACE_S)
