"""A run by `Orchestrator`, as all our cases make it: two devices, and stars that call a tool that does nothing."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import DeviceSpec, Orchestrator, TaskConstellation

from ..dag import Dag
from ..subject import Prepare, Run

SLOTS = 64
"""How many stars a device runs at once: two take a layer whole."""

NOTHING = f"{__package__}.nothing:nothing"


def make_graph(dag: Dag) -> TaskConstellation:
    """The graph as a user builds it."""
    graph = TaskConstellation("overhead")
    for number, upstream in enumerate(dag):
        graph.star(f"star {number}", "nothing", id=star_id(number), after=[star_id(source) for source in upstream])
    return graph


def star_id(number: int) -> str:
    """The id of a star."""
    return f"star-{number}"


def opened_orchestrator(folder: Path, *, kind: str, journal: str | Path) -> AbstractAsyncContextManager[Orchestrator]:
    """An orchestrator with two devices of this kind, and a journal."""
    devices = [DeviceSpec(f"device-{number}", slots=SLOTS, tools=[NOTHING]) for number in (1, 2)]
    return Orchestrator.local(devices, kind=kind, journal=journal, home=folder / "home")


def preparing(orchestrator: Orchestrator) -> Prepare:
    """What makes graphs ready for an orchestrator."""

    async def prepare(dag: Dag) -> Run:
        graph = make_graph(dag)
        waited_for = {source for upstream in dag for source in upstream}
        ends = {star_id(number) for number in range(len(dag)) if number not in waited_for}

        async def run() -> int:
            submitted = await orchestrator.submit(graph)
            outputs = await submitted.result()
            # A star runs only when all before it have succeeded: with the last ones, all have.
            return len(dag) if outputs.keys() == ends else 0

        return run

    return prepare
