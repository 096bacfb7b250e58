"""Stopping in an orderly way: Ctrl-C and SIGTERM cancel what a command is doing, and then wait for it to clear up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

SAME_PRESS_S = 1.0
"""Signals within this time of the first, in seconds, are the same wish: wrappers pass on what the terminal sent too."""


class Part:
    """A part of a command's work that is stopped alone, while all around it goes on and clears up after it.

    Attributes:
        scope: The part, while it goes on.
    """

    def __init__(self) -> None:
        self.scope: anyio.CancelScope | None = None
        self.stopped = False

    @contextmanager
    def stopped_alone(self) -> Iterator[None]:
        """Do this part."""
        try:
            with anyio.CancelScope() as self.scope:
                yield
            self.stopped = self.scope.cancelled_caught
        finally:
            self.scope = None


def run_until_stopped(body: Callable[[], Awaitable[int]], part: Part | None = None) -> int:
    """Run a command's work and return its exit code, or 128 and the signal's number when it was stopped by one.

    The first SIGINT, SIGTERM or SIGHUP cancels the work, or the part of it that goes on; it may take its time to clear
    up. One that comes later ends the process at once.
    """
    return anyio.run(_supervise, body, part or Part())


async def _supervise(body: Callable[[], Awaitable[int]], part: Part) -> int:
    code = 0
    stopped: list[int] = []
    with anyio.open_signal_receiver(*_signals()) as received:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as work:
                tasks.start_soon(_watch, received, work, part, stopped)
                code = await body()
            tasks.cancel_scope.cancel()
    return 128 + stopped[0] if work.cancelled_caught or part.stopped else code


def _signals() -> list[signal.Signals]:
    wanted = [signal.SIGINT, signal.SIGTERM]
    # Under nohup a hang-up is ignored, and is to stay so.
    return wanted + ([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else [])


async def _watch(
    received: AsyncIterator[signal.Signals], work: anyio.CancelScope, part: Part, stopped: list[int]
) -> None:
    first_at = 0.0
    async for number in received:
        if not stopped:
            stopped.append(number)
            first_at = time.monotonic()
            (part.scope or work).cancel()
        elif time.monotonic() - first_at > SAME_PRESS_S:
            os._exit(128 + number)
