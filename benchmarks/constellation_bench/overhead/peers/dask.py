"""Peer `dask`: a local cluster of Dask distributed, a scheduler in this process and two worker processes.

The graph goes in whole, as a dict of tasks, by `Client.get`: nothing is submitted one by one, and Dask does not
optimise it, so that no tasks are fused. No dashboard. Workers have four threads each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from ..dag import Dag, ends
from ..subject import Prepare, Run


def _star(*counts: int) -> int:
    """The work of a star; it tells how deep it lies."""
    return max(counts, default=0) + 1


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """A cluster of two workers."""
    numbers = count()
    with dask.config.set({"temporary-directory": str(folder)}):
        async with (
            LocalCluster(
                n_workers=2, threads_per_worker=4, processes=True, dashboard_address=None, asynchronous=True
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):

            async def prepare(dag: Dag) -> Run:
                name = f"run-{next(numbers)}"  # a key that is known already would not be computed again
                graph: dict[Any, Any] = {
                    (name, number): (_star, *((name, source) for source in upstream))
                    for number, upstream in enumerate(dag)
                }
                wanted = [(name, number) for number in ends(dag)]

                async def run() -> int:
                    await client.gather(client.get(graph, wanted, sync=False))
                    return len(dag)

                return run

            yield prepare
