"""The graph of both LangGraph peers: a node per star, and an edge from all three that it waits for together.

Nodes are coroutines and the graph is run by `ainvoke`: plain functions would each go through a thread pool. The state
has one key, which no node writes. Tracing stays off.
"""

from __future__ import annotations

import os
from typing import Any, TypedDict
from uuid import uuid4

os.environ["LANGSMITH_TRACING"] = "false"  # read when it is imported

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from ..dag import WIDTH, Dag, ends
from ..subject import Run


class _State(TypedDict):
    nothing: int


def compiled(dag: Dag, saver: BaseCheckpointSaver[Any] | None = None) -> Run:
    """Build and compile the graph; returns what runs it."""
    ran = 0

    async def star(state: _State) -> None:
        nonlocal ran
        ran += 1

    graph = StateGraph(_State)
    for number in range(len(dag)):
        graph.add_node(f"star-{number}", star)
    for number, upstream in enumerate(dag):
        if upstream:
            graph.add_edge([f"star-{source}" for source in upstream], f"star-{number}")
        else:
            graph.add_edge(START, f"star-{number}")
    for number in ends(dag):
        graph.add_edge(f"star-{number}", END)
    app = graph.compile(checkpointer=saver)
    config: Any = {"recursion_limit": len(dag) // WIDTH + 10, "configurable": {"thread_id": str(uuid4())}}
    options: Any = {} if saver is None else {"durability": "sync"}

    async def run() -> int:
        await app.ainvoke({"nothing": 0}, config, **options)
        return ran

    return run
