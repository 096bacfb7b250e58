"""Programs by argument list, below one root directory. There is no shell between the arguments and the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..tool import tool
from ..toolset import Toolset
from .confinement import Root
from .processes import ProcessLimits, ProcessResult, clean_environment, run_process
from .sandbox import Sandbox, may_reach_network

MAX_TIMEOUT_S = 24 * 3600.0
"""The longest time limit that a caller may ask for."""


def shell_tools(
    root: Path,
    *,
    limits: ProcessLimits | None = None,
    sandbox: Sandbox | None = Sandbox(),  # noqa: B008 - it is frozen
) -> Toolset:
    """Return the tool that runs programs.

    Args:
        root: The directory to work in. In a sandbox it is the only one that a program can write, and hardly any
            other can be read; without one only the working directory is confined to it.
        limits: What a call's processes may use.
        sandbox: How programs are kept away from the rest of the machine where bubblewrap works; None for not at all.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root)
    bounds = limits or ProcessLimits()

    @tool(destructive=True, open_world=may_reach_network(sandbox), runs_programs=True)
    async def shell_run(
        argv: Annotated[list[str], Field(min_length=1)],
        cwd: str = ".",
        timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] = 60.0,
        stdin: str = "",
        env: dict[str, str] | None = None,
    ) -> ProcessResult:
        """Run a program and return its exit code and output. A program that reports failure is a result, not an error.

        Args:
            argv: The program and its arguments, one item each; not a command line.
            cwd: The directory to run in, relative to the root.
            timeout_s: When to stop it, in seconds, with all that it has started.
            stdin: What it reads from standard input.
            env: Environment variables, added to a small clean set.
        """
        with inside.directory(cwd) as directory:
            return await run_process(
                "shell_run",
                argv,
                root=inside.path,
                cwd=cwd,
                directory=directory,
                env=clean_environment(str(inside.path), env),
                stdin=stdin.encode(),
                timeout_s=timeout_s,
                limits=bounds,
                sandbox=sandbox,
            )

    return Toolset([shell_run], name="shell")
