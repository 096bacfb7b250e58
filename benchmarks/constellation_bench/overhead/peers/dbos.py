"""Peer `dbos`: one durable workflow whose steps are the stars, with DBOS's system database in SQLite.

A workflow of DBOS has to start its steps in the same order each time it is replayed. So it starts a layer's steps in
order and waits for the layer: that is how its documentation runs steps side by side, by `asyncio.gather`. Steps are
coroutines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbos import DBOS

from ..dag import WIDTH, Dag
from ..subject import Prepare, Run


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """A SQLite file."""
    DBOS(
        config={
            "name": "overhead",
            "system_database_url": f"sqlite:///{folder / 'dbos.db'}",
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def star() -> None:
        """Do nothing."""

    @DBOS.workflow()
    async def layers(stars: int) -> int:
        """Run the stars, a layer at a time."""
        ran = 0
        for first in range(0, stars, WIDTH):
            ran += len(await asyncio.gather(*[star() for _ in range(first, min(first + WIDTH, stars))]))
        return ran

    DBOS.launch()
    try:

        async def prepare(dag: Dag) -> Run:
            async def run() -> int:
                ran: int = await layers(len(dag))
                return ran

            return run

        yield prepare
    finally:
        DBOS.destroy()
