"""Tools of the orchestrator tests; device processes load them by this file's path."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

from constellation_tools import Artifact, ToolContext, ToolFailed, tool


@tool(idempotent=True, blocking=False)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(idempotent=True, blocking=False)
def total(numbers: list[int]) -> dict[str, int]:
    """Add numbers up."""
    return {"sum": sum(numbers), "count": len(numbers)}


@tool(blocking=False)
def fail(message: str = "no luck") -> None:
    """Fail."""
    raise ToolFailed(message)


@tool(blocking=False)
def fail_until(path: str, times: int) -> int:
    """Fail a number of times, counted in a file, then return how many tries it took."""
    with open(path, "a") as file:
        file.write("x")
    tries = len(Path(path).read_text())
    if tries <= times:
        raise ToolFailed(f"try {tries}")
    return tries


@tool(idempotent=True)
async def wait_for(path: str) -> str:
    """Wait until a file is there and return what it says."""
    while not await anyio.Path(path).exists():
        await anyio.sleep(0.01)
    return await anyio.Path(path).read_text()


@tool
async def record_and_wait(log: str, line: str, gate: str) -> str:
    """Write a line to a log, then wait until a file is there. Not idempotent: every line is an effect."""
    with open(log, "a") as file:
        file.write(line + "\n")
    while not await anyio.Path(gate).exists():
        await anyio.sleep(0.01)
    return line


@tool
def block(started: str, seconds: float) -> None:
    """Hold a thread or a worker process up, after saying so."""
    Path(started).touch()
    time.sleep(seconds)


@tool(idempotent=True)
def write_artifact(context: ToolContext, lines: int) -> Artifact:
    """Make a file and hand it on."""
    path = context.workdir / "numbers.txt"
    path.write_text("".join(f"{number}\n" for number in range(lines)))
    return context.artifact(path, media_type="text/plain")


@tool(idempotent=True)
def count_lines(file: Artifact) -> int:
    """Count the lines of a file that came from elsewhere."""
    return len(file.path.read_text().splitlines())


@tool(blocking=False)
def chatter(context: ToolContext, lines: int) -> int:
    """Report progress."""
    for number in range(lines):
        context.progress(f"line {number}", fraction=(number + 1) / lines)
    return lines
