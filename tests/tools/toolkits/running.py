"""What tests of programs share: calls in both confinements, and whether what they have started is still there."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from constellation_tools.toolkits import python_tools, shell_tools
from constellation_tools.toolkits.processes import ProcessLimits
from constellation_tools.toolkits.sandbox import Sandbox, bubblewrap

LIMITS_ONLY: None = None
SANDBOX = Sandbox(required=True)

both_confinements = pytest.mark.parametrize(
    "sandbox",
    [pytest.param(None, id="limits"), pytest.param(SANDBOX, id="bubblewrap", marks=pytest.mark.requires("bwrap"))],
)


def needs_sandbox() -> None:
    """Skip where bubblewrap is installed and the kernel doesn't let it work, as in many containers."""
    program, reason = bubblewrap()
    if program is None:
        pytest.skip(reason)


async def shell(
    root: Path, *argv: str, sandbox: Sandbox | None = None, limits: ProcessLimits | None = None, **options: Any
) -> Any:
    """Run a program."""
    if sandbox is not None:
        needs_sandbox()
    made = shell_tools(root, limits=limits, sandbox=sandbox).get("shell_run")
    return await made.call({"argv": list(argv), **options})


async def python(
    root: Path, code: str, *, sandbox: Sandbox | None = None, limits: ProcessLimits | None = None, **options: Any
) -> Any:
    """Run a snippet."""
    if sandbox is not None:
        needs_sandbox()
    return await python_tools(root, limits=limits, sandbox=sandbox).get("python_run").call({"code": code, **options})


class Sleeper:
    """A `sleep` that is known from all others by how long it takes, whatever namespace it is in."""

    def __init__(self) -> None:
        self.seconds = f"600.{secrets.randbelow(10**9):09}"

    def alive(self) -> int:
        """How many there are."""
        return sum(
            self.seconds in (process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["cmdline"] and process.info["cmdline"][0].endswith("sleep")
        )


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for something outside of this process, which can only be looked at."""
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.01)
