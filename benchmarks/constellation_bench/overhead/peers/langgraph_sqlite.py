"""Peer `langgraph_sqlite`: a compiled StateGraph with LangGraph's SQLite checkpointer.

`durability="sync"` writes what a superstep has done before the next one begins, as our journal does for stars. It
takes no more CPU time than LangGraph's default, which writes it meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..dag import Dag
from ..subject import Prepare, Run
from .langgraph_graph import compiled


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """A SQLite file."""
    async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:

        async def prepare(dag: Dag) -> Run:
            return compiled(dag, saver)

        yield prepare
