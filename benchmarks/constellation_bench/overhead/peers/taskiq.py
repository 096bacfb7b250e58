"""Peer `taskiq`: its in-memory broker, which runs tasks in this process.

taskiq has no graphs, so graphlib says what is ready, as in `asyncio_graphlib`. `await_inplace=True` is the cheaper of
the broker's two ways: otherwise each result has to be polled for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from taskiq import InMemoryBroker

from ..dag import Dag
from ..subject import Prepare, Run


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """A broker."""
    broker = InMemoryBroker(await_inplace=True)

    @broker.task(task_name="nothing")
    async def nothing() -> None:
        """Do nothing."""

    async def star(number: int, ended: asyncio.Queue[int]) -> None:
        task = await nothing.kiq()
        (await task.wait_result()).raise_for_error()
        ended.put_nowait(number)

    async def prepare(dag: Dag) -> Run:
        sorter = TopologicalSorter(dict(enumerate(dag)))
        sorter.prepare()

        async def run() -> int:
            ended: asyncio.Queue[int] = asyncio.Queue()
            count = 0
            async with asyncio.TaskGroup() as tasks:
                while sorter.is_active():
                    for number in sorter.get_ready():
                        tasks.create_task(star(number, ended))
                    sorter.done(await ended.get())
                    count += 1
            return count

        return run

    await broker.startup()
    try:
        yield prepare
    finally:
        await broker.shutdown()
