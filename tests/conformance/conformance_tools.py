"""The tools that the conformance kit calls, for the device agent of this project; loaded from this file by its path."""

import hashlib

import anyio

from constellation_tools import Artifact, ToolContext, ToolFailed, tool


@tool(blocking=False)
def echo(value: object) -> object:
    """Return the value."""
    return value


@tool(blocking=False)
def fail(message: str) -> None:
    """Fail with the message."""
    raise ToolFailed(message)


@tool
async def sleep(seconds: float) -> float:
    """Wait, and return how long."""
    await anyio.sleep(seconds)
    return seconds


@tool
async def count(context: ToolContext, to: int) -> int:
    """Report each number from 1 on as a line of progress, and return the last."""
    for number in range(1, to + 1):
        context.progress(str(number))
    return to


@tool
async def make_file(context: ToolContext, size: int) -> Artifact:
    """Make a file whose byte number i is i modulo 251."""
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    return await anyio.to_thread.run_sync(context.artifact, data)


@tool
async def measure_file(file: Artifact) -> dict[str, object]:
    """Say how long a file is, and what its digest is."""
    data = await anyio.Path(file.path).read_bytes()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
