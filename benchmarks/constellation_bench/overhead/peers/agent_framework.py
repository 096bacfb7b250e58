"""Peer `agent_framework`: a workflow of Microsoft Agent Framework, without checkpoints.

An executor per star, joined by fan-in edges that wait for all three. Executors are coroutines, since plain functions
would each go through a thread. A workflow begins with one executor: it is one more than there are stars, and fans out
to the first layer. The message is a number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent_framework import FunctionExecutor, WorkflowBuilder, WorkflowContext

from ..dag import WIDTH, Dag
from ..subject import Prepare, Run


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """Nothing has to be started."""

    async def prepare(dag: Dag) -> Run:
        ran = 0

        async def begin(message: int, context: WorkflowContext[int]) -> None:
            await context.send_message(0)

        async def first(message: int, context: WorkflowContext[int]) -> None:
            nonlocal ran
            ran += 1
            await context.send_message(0)

        async def joined(message: list[int], context: WorkflowContext[int]) -> None:
            nonlocal ran
            ran += 1
            await context.send_message(0)

        start = FunctionExecutor(begin, id="begin", input=int, output=int)
        stars = [
            FunctionExecutor(joined, id=f"star-{number}", input=list[int], output=int)
            if upstream
            else FunctionExecutor(first, id=f"star-{number}", input=int, output=int)
            for number, upstream in enumerate(dag)
        ]
        builder = WorkflowBuilder(start_executor=start, max_iterations=len(dag) // WIDTH + 10)
        roots = [star for star, upstream in zip(stars, dag, strict=True) if not upstream]
        if len(roots) > 1:
            builder.add_fan_out_edges(start, roots)
        else:
            builder.add_edge(start, roots[0])
        for star, upstream in zip(stars, dag, strict=True):
            if upstream:
                builder.add_fan_in_edges([stars[source] for source in upstream], star)
        workflow = builder.build()

        async def run() -> int:
            await workflow.run(0)
            return ran

        return run

    yield prepare
