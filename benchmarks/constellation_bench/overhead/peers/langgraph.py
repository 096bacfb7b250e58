"""Peer `langgraph`: a compiled StateGraph without a checkpointer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..dag import Dag
from ..subject import Prepare, Run
from .langgraph_graph import compiled


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """Nothing has to be started."""

    async def prepare(dag: Dag) -> Run:
        return compiled(dag)

    yield prepare
