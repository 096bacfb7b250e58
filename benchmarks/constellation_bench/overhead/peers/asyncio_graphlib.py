"""Peer `asyncio_graphlib`: the standard library alone, `graphlib.TopologicalSorter` and an asyncio task per ready star.

The floor for anything that runs stars concurrently: what the graph and the event loop cost. The sorter is prepared
(built, and seen to have no cycle) before the run. A star that ends says so through a queue, so that the loop never
looks at those that are still running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from ..dag import Dag
from ..subject import Prepare, Run


async def _star(number: int, ended: asyncio.Queue[int]) -> None:
    ended.put_nowait(number)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """Nothing has to be started."""

    async def prepare(dag: Dag) -> Run:
        sorter = TopologicalSorter(dict(enumerate(dag)))
        sorter.prepare()

        async def run() -> int:
            ended: asyncio.Queue[int] = asyncio.Queue()
            count = 0
            async with asyncio.TaskGroup() as tasks:
                while sorter.is_active():
                    for number in sorter.get_ready():
                        tasks.create_task(_star(number, ended))
                    sorter.done(await ended.get())
                    count += 1
            return count

        return run

    yield prepare
