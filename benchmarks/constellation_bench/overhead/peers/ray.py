"""Peer `ray`: Ray core on this machine, a task per star whose arguments are the results that it waits for.

Submitting is part of the run: Ray has no graph that is built before. Results are small enough to be passed along
without the object store. Two workers, a CPU each. No dashboard, no usage statistics, no authentication between its
processes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}  # read when it is imported

import ray

from ..dag import Dag, ends
from ..subject import Prepare, Run


@ray.remote
def _star(*counts: int) -> int:
    """The work of a star; it tells how deep it lies."""
    return max(counts, default=0) + 1


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """Ray with its daemons and two workers."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:

        async def prepare(dag: Dag) -> Run:
            wanted = ends(dag)

            async def run() -> int:
                results: list[ray.ObjectRef] = []
                for upstream in dag:
                    results.append(_star.remote(*[results[source] for source in upstream]))
                ray.get([results[number] for number in wanted])
                return len(results)

            return run

        yield prepare
    finally:
        ray.shutdown()
