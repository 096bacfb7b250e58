"""Python snippets, each in an interpreter of its own with limits on time, memory, processes and file size."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..tool import tool
from ..toolset import Toolset
from .confinement import Root
from .processes import ProcessLimits, ProcessResult, clean_environment, run_process
from .sandbox import Sandbox, may_reach_network

MAX_TIMEOUT_S = 3600.0
"""The longest time limit that a caller may ask for."""

LIMITS = ProcessLimits(
    memory_bytes=2 * 1024**3, address_space_bytes=2 * 1024**3, cpu_s=600, processes=64, file_bytes=256 * 1024**2
)
"""What a snippet may use unless the owner says otherwise."""

# Runs before the snippet: takes the source from a descriptor, so that it does not show in the process list, and
# gives tracebacks the snippet's own lines.
_BOOTSTRAP = """
import linecache, sys, traceback
with open(int(sys.argv[1]), encoding="utf-8") as file:
    source = file.read()
sys.argv[:] = ["<snippet>"]
sys.excepthook = lambda kind, error, frames: traceback.print_exception(kind, error, frames and frames.tb_next)
linecache.cache["<snippet>"] = (len(source), None, source.splitlines(True), "<snippet>")
code = compile(source, "<snippet>", "exec")
del file, source
exec(code, {"__name__": "__main__", "__builtins__": __builtins__})
"""


def python_tools(
    root: Path,
    *,
    limits: ProcessLimits | None = None,
    sandbox: Sandbox | None = Sandbox(),  # noqa: B008 - it is frozen
) -> Toolset:
    """Return the tool that runs Python snippets.

    Args:
        root: The directory that a snippet starts in. In a sandbox it is the only one that it can write, and hardly
            any other can be read; without one it can open whatever the device's user can.
        limits: What a call's processes may use.
        sandbox: How snippets are kept away from the rest of the machine where bubblewrap works; None for not at all.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root)

    @tool(destructive=True, open_world=may_reach_network(sandbox), runs_programs=True)
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
        with inside.directory(".") as directory, tempfile.TemporaryFile() as source:
            source.write(code.encode())
            source.seek(0)
            return await run_process(
                "python_run",
                [sys.executable, "-I", "-c", _BOOTSTRAP, str(source.fileno())],
                root=inside.path,
                cwd=".",
                directory=directory,
                env=clean_environment(str(inside.path)),
                stdin=stdin.encode(),
                timeout_s=timeout_s,
                limits=limits or LIMITS,
                sandbox=sandbox,
                pass_fds=(source.fileno(),),
            )

    return Toolset([python_run], name="python")
