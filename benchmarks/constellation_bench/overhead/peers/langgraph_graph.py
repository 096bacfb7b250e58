"""The graph of both LangGraph peers: a node per star, and an edge from all three that it waits for together.

Nodes are coroutines and the graph is run by `ainvoke`: plain functions would each go through a thread pool. The state
has one key, which no node writes. Tracing stays off.
"""

from __future__ import annotations

import operator
import os
from functools import partial
from typing import Annotated, Any, TypedDict
from uuid import uuid4

os.environ["LANGSMITH_TRACING"] = "false"  # read when it is imported

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from ..dag import WIDTH, Dag, ends
from ..subject import Run


class _State(TypedDict):
    outputs: Annotated[list[tuple[str, None]], operator.add]


async def _star(state: _State, name: str) -> dict[str, Any]:
    return {"outputs": [(name, None)]}


def compiled(dag: Dag, saver: BaseCheckpointSaver[Any] | None = None) -> Run:
    """Build and compile the graph; returns what runs it."""
    graph = StateGraph(_State)
    for number in range(len(dag)):
        graph.add_node(f"star-{number}", partial(_star, name=f"star-{number}"))
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
        state = await app.ainvoke({"outputs": []}, config, **options)
        return len(state["outputs"])

    return run
