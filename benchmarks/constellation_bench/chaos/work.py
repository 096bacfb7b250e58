"""The tools that the stars of a chaos run call: half of the time passes before the effect, half of it after.

Neither says of itself that it is idempotent: each star does. The name of a device's folder is the device's own.
"""

from __future__ import annotations

import time

import anyio
import anyio.to_thread

from constellation_tools import ToolContext, tool

from .effects import Effect, append_effect


@tool
def effect_in_process(star: str, seconds: float, inputs: list[str], context: ToolContext) -> str:
    """Have an effect, from a worker process; returns which try it was."""
    time.sleep(seconds / 2)
    append_effect(context.workdir, _effect(star, inputs, context))
    time.sleep(seconds / 2)
    return context.attempt


@tool
async def effect_on_loop(star: str, seconds: float, inputs: list[str], context: ToolContext) -> str:
    """Have an effect, from the device's own process; returns which try it was."""
    await anyio.sleep(seconds / 2)
    await anyio.to_thread.run_sync(append_effect, context.workdir, _effect(star, inputs, context))
    await anyio.sleep(seconds / 2)
    return context.attempt


def _effect(star: str, inputs: list[str], context: ToolContext) -> Effect:
    return Effect(star, context.attempt, context.workdir.name, tuple(inputs))
