"""The tool that the stars of the overhead benchmark call."""

from __future__ import annotations

from constellation_tools import tool


@tool(blocking=False, idempotent=True)
def nothing() -> None:
    """Do nothing, on the device's event loop, so that only the way there and back costs something."""
