"""Stopping in an orderly way: Ctrl-C and SIGTERM cancel what a command is doing, and then wait for it to clear up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

SAME_PRESS_S = 1.0
"""Signals within this time of the first, in seconds, are the same wish: wrappers pass on what the terminal sent too."""


def run_until_stopped(body: Callable[[], Awaitable[int]]) -> int:
    """Run a command's work and return its exit code, or 128 and the signal's number when it was stopped by one.

    The first SIGINT, SIGTERM or SIGHUP cancels the work, which may take its time to clear up. One that comes later
    ends the process at once.
    """
    return anyio.run(_supervise, body)


async def _supervise(body: Callable[[], Awaitable[int]]) -> int:
    code = 0
    stopped: list[int] = []
    with anyio.open_signal_receiver(*_signals()) as received:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as work:
                tasks.start_soon(_watch, received, work, stopped)
                code = await body()
            tasks.cancel_scope.cancel()
    return 128 + stopped[0] if work.cancelled_caught else code


def _signals() -> list[signal.Signals]:
    wanted = [signal.SIGINT, signal.SIGTERM]
    # Under nohup a hang-up is ignored, and is to stay so.
    return wanted + ([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else [])


async def _watch(received: AsyncIterator[signal.Signals], work: anyio.CancelScope, stopped: list[int]) -> None:
    first_at = 0.0
    async for number in received:
        if not stopped:
            stopped.append(number)
            first_at = time.monotonic()
            work.cancel()
        elif time.monotonic() - first_at > SAME_PRESS_S:
            os._exit(128 + number)
