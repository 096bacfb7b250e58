"""How much memory processes take while something goes on, each with those that it has started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import psutil

EVERY_S = 0.01
"""How often memory is looked at; a transfer takes tens of milliseconds for what is on the way at once."""


class Growth:
    """The resident memory of some processes: at the beginning, and the most since.

    Attributes:
        before: Bytes at the beginning, by name.
        most: The most bytes since, by name.
    """

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = processes
        self.before = {name: _resident_bytes(process) for name, process in processes.items()}
        self.most = dict(self.before)

    def look(self) -> None:
        """Look now."""
        for name, process in self._processes.items():
            self.most[name] = max(self.most[name], _resident_bytes(process))

    @property
    def bytes(self) -> dict[str, int]:
        """By how much each has grown at most."""
        return {name: self.most[name] - self.before[name] for name in self.before}


@asynccontextmanager
async def watched(processes: Mapping[str, psutil.Process]) -> AsyncIterator[Growth]:
    """Watch the memory of processes for as long as the context lasts."""
    growth = Growth(processes)

    async def watch() -> None:
        while True:
            growth.look()
            await anyio.sleep(EVERY_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        yield growth
        tasks.cancel_scope.cancel()


def family(name: str, leader: psutil.Process) -> dict[str, psutil.Process]:
    """A process and those that it has started, each with a name of its own."""
    found = {name: leader}
    for number, child in enumerate(leader.children(recursive=True), start=1):
        found[f"{name} worker {number}"] = child
    return found


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
