"""Peer `pydantic_graph`: a graph that maps a step over the stars of a layer, joins them, and goes on with the next.

Its joins have to be dominated by one fork, so three overlapping dependencies per star can't be written down as such.
A layer that waits for the whole layer before keeps all of them; that is also its cheapest way, since the graph has five
nodes whatever its input. Instrumentation is switched off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic_graph import GraphBuilder, StepContext, reduce_null

from ..dag import WIDTH, Dag
from ..subject import Prepare, Run


@dataclass(slots=True)
class _Progress:
    """The state of a run.

    Attributes:
        layers: What is still to run, the next layer last.
        ran: How many stars have run.
    """

    layers: list[range]
    ran: int = 0


@dataclass(frozen=True, slots=True)
class _Layer:
    stars: range


@dataclass(frozen=True, slots=True)
class _Done:
    ran: int


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Prepare]:
    """The graph is the same for all inputs."""
    builder = GraphBuilder(state_type=_Progress, output_type=int, auto_instrument=False, name="overhead")

    @builder.step
    async def begin(context: StepContext[_Progress, None, None]) -> _Layer | _Done:
        layers = context.state.layers
        return _Layer(layers.pop()) if layers else _Done(context.state.ran)

    @builder.step
    async def stars_of(context: StepContext[_Progress, None, _Layer]) -> range:
        layer: _Layer = context.inputs
        return layer.stars

    @builder.step
    async def star(context: StepContext[_Progress, None, int]) -> None:
        context.state.ran += 1

    @builder.step
    async def result(context: StepContext[_Progress, None, _Done]) -> int:
        done: _Done = context.inputs
        return done.ran

    joined = builder.join(reduce_null, initial=None)
    builder.add(
        builder.edge_from(builder.start_node).to(begin),
        builder.edge_from(begin).to(
            builder.decision().branch(builder.match(_Layer).to(stars_of)).branch(builder.match(_Done).to(result))
        ),
        builder.edge_from(stars_of).map().to(star),
        builder.edge_from(star).to(joined),
        builder.edge_from(joined).to(begin),
        builder.edge_from(result).to(builder.end_node),
    )
    graph = builder.build()

    async def prepare(dag: Dag) -> Run:
        layers = [range(first, min(first + WIDTH, len(dag))) for first in range(0, len(dag), WIDTH)]

        async def run() -> int:
            ran: int = await graph.run(state=_Progress(layers[::-1]))
            return ran

        return run

    yield prepare
