"""Programs by argument list, below one root directory. There is no shell between the arguments and the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..tool import tool
from ..toolset import Toolset
from .confinement import Root, path_of_directory
from .processes import OUTPUT_LIMIT_BYTES, ProcessResult, clean_environment, run_process

MAX_TIMEOUT_S = 24 * 3600.0
"""The longest time limit that a caller may ask for."""


def shell_tools(root: Path, *, output_limit_bytes: int = OUTPUT_LIMIT_BYTES) -> Toolset:
    """Return the tool that runs programs.

    The working directory is confined to the root; what a program itself opens is not.

    Args:
        root: The directory to work in.
        output_limit_bytes: How much of each of stdout and stderr is kept.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root)

    @tool
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
                cwd=path_of_directory(directory),
                env=clean_environment(str(inside.path), env),
                stdin=stdin.encode(),
                timeout_s=timeout_s,
                output_limit_bytes=output_limit_bytes,
            )

    return Toolset([shell_run], name="shell")
