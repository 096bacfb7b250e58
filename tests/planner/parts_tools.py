"""Tools for the planner's tests, which devices in processes of their own load from this file."""

from __future__ import annotations

from pathlib import Path

from constellation_tools import ToolFailed, tool


@tool(idempotent=True)
def measure(part: str, fails_once: str = "") -> dict[str, object]:
    """Measure a part.

    Args:
        part: Which.
        fails_once: A file that is not there yet: the call that makes it fails.
    """
    if fails_once:
        try:
            Path(fails_once).touch(exist_ok=False)
        except FileExistsError:
            return {"part": part, "size": len(part)}
        raise ToolFailed(f"the gauge slipped off {part}")
    return {"part": part, "size": len(part)}


@tool(idempotent=True)
def add_up(found: list[dict[str, object]]) -> int:
    """Add measures up."""
    return sum(int(str(each["size"])) for each in found)


@tool
def publish(text: str) -> str:
    """Show a text to everybody."""
    return f"published {text}"


@tool
def read_note(name: str) -> str:
    """Read a note that anybody may have written."""
    return name


@tool(idempotent=True)
def verify(what: object) -> bool:
    """See that something is right, which fails."""
    raise ToolFailed("it is not right")


@tool
def hold(pipe: str, mark: str) -> str:
    """Do something that must not be done twice, and go on until the other side of a pipe is closed."""
    with open(mark, "a", encoding="utf-8") as file:
        file.write("done\n")
    return Path(pipe).read_text(encoding="utf-8")
