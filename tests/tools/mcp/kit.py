"""Tools that the tests serve over MCP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from constellation_tools import Artifact, ToolContext, ToolFailed, tool


@dataclass
class Box:
    """A box.

    Attributes:
        width: In metres.
        name: What it is called.
    """

    width: float
    name: str = "box"


@tool(read_only=True, open_world=False, blocking=False)
def double(n: int) -> int:
    """Double a number.

    Args:
        n: The number.
    """
    return 2 * n


@tool(blocking=False)
def pack(boxes: list[Box]) -> Box:
    """Pack boxes into one."""
    return Box(sum(box.width for box in boxes), "all")


@tool(blocking=False)
def shout(text: str):  # type: ignore[no-untyped-def]
    """Shout."""
    print("this goes to nobody's protocol")
    return {"text": text.upper()}


@tool(timeout_s=30)
def work(context: ToolContext, steps: int = 3) -> str:
    """Work in a thread, and tell of it."""
    for step in range(1, steps + 1):
        context.progress(f"step {step}", fraction=step / steps)
    return "done"


@tool(blocking=False)
def rows(count: int) -> Iterator[int]:
    """Count rows."""
    yield from range(count)


@tool
async def wait(mark: str) -> str:
    """Wait for ever, and leave a file when that is ended."""
    Path(mark + ".begun").touch()
    try:
        await anyio.sleep_forever()
    finally:
        Path(mark + ".cancelled").touch()
    return ""


@tool
def paint(context: ToolContext) -> Artifact:
    """Paint a picture."""
    return context.artifact(b"\x89PNG\r\n", name="dot.png", media_type="image/png")


@tool
def write(text: str, context: ToolContext) -> Artifact:
    """Write a file."""
    return context.artifact(text.encode(), name="note.txt", media_type="text/plain")


@tool
def read(file: Artifact) -> str:
    """Read a file that another tool has made."""
    return file.path.read_text()


@tool
def fail(how: str) -> str:
    """Fail."""
    raise ToolFailed("there is no such thing") if how == "well" else ValueError("oops")


@tool(blocking=False)
def long(size: int) -> str:
    """Return a long text."""
    return "x" * size


@tool(blocking=False, requires_approval=True)
def launch(where: str) -> str:
    """Launch something."""
    return f"launched to {where}"


@tool(background=True)
async def brew(context: ToolContext) -> str:
    """Brew tea, which takes a while."""
    context.progress("the water boils", fraction=0.5)
    await anyio.sleep(0.05)
    return "tea"
