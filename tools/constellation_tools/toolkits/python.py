"""Python snippets, each in an interpreter of its own with limits on time, memory, processes and file size."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import psutil
from pydantic import Field

from ..tool import tool
from ..toolset import Toolset
from .confinement import Root, path_of_directory
from .processes import OUTPUT_LIMIT_BYTES, ProcessResult, clean_environment, run_process

MAX_TIMEOUT_S = 3600.0
"""The longest time limit that a caller may ask for."""

# Runs in the child before the snippet: takes the limits, then the source from a descriptor, so that neither
# shows in the process list, and gives tracebacks the snippet's own lines.
_BOOTSTRAP = """
import json, linecache, resource, sys, traceback
fd, limits = int(sys.argv[1]), json.loads(sys.argv[2])
with open(fd, encoding="utf-8") as file:
    source = file.read()
for name, value in limits.items():
    kind = getattr(resource, name, None)
    if kind is not None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
sys.argv[:] = ["<snippet>"]
sys.excepthook = lambda kind, error, frames: traceback.print_exception(kind, error, frames and frames.tb_next)
linecache.cache["<snippet>"] = (len(source), None, source.splitlines(True), "<snippet>")
code = compile(source, "<snippet>", "exec")
del file, fd, limits, source, name, value, kind, hard
exec(code, {"__name__": "__main__", "__builtins__": __builtins__})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonLimits:
    """What a snippet may use.

    Attributes:
        cpu_s: CPU time, in seconds.
        memory_bytes: Address space.
        processes: Processes and threads on top of those that the user already has; not enforced for root.
        file_bytes: Size of any file that it writes.
        output_bytes: How much of each of stdout and stderr is kept.
    """

    cpu_s: int = 600
    memory_bytes: int = 2 * 1024**3
    processes: int = 64
    file_bytes: int = 256 * 1024**2
    output_bytes: int = OUTPUT_LIMIT_BYTES


def python_tools(root: Path, *, limits: PythonLimits | None = None) -> Toolset:
    """Return the tool that runs Python snippets.

    A snippet starts in the root and is bound by the limits; it can open whatever the device's user can.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root)
    bounds = limits or PythonLimits()

    @tool
    async def python_run(
        code: str,
        timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] = 60.0,
        stdin: str = "",
    ) -> ProcessResult:
        """Run Python code in a fresh interpreter and return what it printed; an exception is exit code 1.

        Args:
            code: The program; print what you want to know.
            timeout_s: When to stop it, in seconds, with all that it has started.
            stdin: What it reads from standard input.
        """
        present = await anyio.to_thread.run_sync(_tasks_of_user)
        rlimits = {
            "RLIMIT_CPU": bounds.cpu_s,
            "RLIMIT_AS": bounds.memory_bytes,
            "RLIMIT_NPROC": present + bounds.processes,
            "RLIMIT_FSIZE": bounds.file_bytes,
            "RLIMIT_CORE": 0,
        }
        with inside.directory(".") as directory, tempfile.TemporaryFile() as source:
            source.write(code.encode())
            source.seek(0)
            return await run_process(
                "python_run",
                [sys.executable, "-I", "-c", _BOOTSTRAP, str(source.fileno()), json.dumps(rlimits)],
                cwd=path_of_directory(directory),
                env=clean_environment(str(inside.path)),
                stdin=stdin.encode(),
                timeout_s=timeout_s,
                output_limit_bytes=bounds.output_bytes,
                pass_fds=(source.fileno(),),
            )

    return Toolset([python_run], name="python")


def _tasks_of_user() -> int:
    """Count the processes and threads of this user, which is what the limit on processes counts."""
    user = psutil.Process().uids().real
    return sum(
        process.info["num_threads"] or 1
        for process in psutil.process_iter(["uids", "num_threads"])
        if process.info["uids"] is not None and process.info["uids"].real == user
    )
