"""Peer `in_degree`: a hand-written loop that counts dependencies down, in one coroutine. Nothing can cost less.

It knows no concurrency, no failure and no state; the figure says what the graph itself costs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..dag import Dag, downstream
from ..subject import Prepare, Run


async def _nothing() -> None:
    """The work of a star."""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """Nothing has to be started."""

    async def prepare(dag: Dag) -> Run:
        targets = downstream(dag)

        async def run() -> int:
            waiting = [len(upstream) for upstream in dag]
            ready = [number for number, upstream in enumerate(dag) if not upstream]
            for number in ready:
                await _nothing()
                for target in targets[number]:
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
            return len(ready)

        return run

    yield prepare
