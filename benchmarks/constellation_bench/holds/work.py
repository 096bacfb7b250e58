"""The tool that the stars of the holds benchmark call."""

from __future__ import annotations

import anyio

from constellation_tools import tool


@tool(blocking=False, idempotent=True)
async def work(seconds: float) -> None:
    """Take a time, without taking CPU time."""
    await anyio.sleep(seconds)
