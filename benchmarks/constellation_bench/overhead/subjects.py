"""What can be measured: our own cases and the peers, by name, with what each needs and is compared to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import Any

from .edits.figures import figures_of_batch, figures_of_middle
from .figures import Figures, figures_of_runs

MEASURE_RUN = f"{__package__}.measure:measure"
MEASURE_CASE = f"{__package__}.cases.measure:measure"

Summarise = Callable[[str, Sequence[Mapping[str, Any]]], Figures]


class CaseName(StrEnum):
    """Our own cases."""

    IN_PROCESS = "in_process"
    JOURNALED = "journaled"
    JOURNALED_POSTGRES = "journaled_postgres"
    WEBSOCKET = "websocket"
    EDIT_MIDDLE = "edit_middle"
    EDIT_BATCH = "edit_batch"


@dataclass(frozen=True, slots=True)
class Case:
    """One of our own cases.

    Attributes:
        name: What it is called.
        about: What it is, in a few words.
        function: What measures it, `module:name`.
        arguments: Arguments of that besides the number of stars.
        summarise: Makes figures of what that returns.
        in_database: Whether it needs a PostgreSQL database, which the arguments `store` and `server` are about.
    """

    name: CaseName
    about: str
    function: str
    arguments: Mapping[str, Any]
    summarise: Summarise
    in_database: bool = False


def _run_case(name: CaseName, about: str, *, durable: bool = True, in_database: bool = False) -> Case:
    arguments = {"module": f"{__package__}.cases.{name}", "durable": durable}
    return Case(name, about, MEASURE_CASE, arguments, figures_of_runs, in_database)


def _edit_case(name: CaseName, about: str, module: str, summarise: Summarise) -> Case:
    return Case(name, about, f"{__package__}.edits.{module}:measure", {}, summarise)


CASES: Mapping[CaseName, Case] = {
    case.name: case
    for case in (
        _run_case(CaseName.IN_PROCESS, "devices in this process, no journal", durable=False),
        _run_case(CaseName.JOURNALED, "devices in this process, journal in SQLite"),
        _run_case(CaseName.JOURNALED_POSTGRES, "the same, journal in PostgreSQL", in_database=True),
        _run_case(CaseName.WEBSOCKET, "two device processes over WebSocket, journal in SQLite"),
        _edit_case(CaseName.EDIT_MIDDLE, "a line added or removed", "middle", figures_of_middle),
        _edit_case(CaseName.EDIT_BATCH, "100 operations rolled back", "batch", figures_of_batch),
    )
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Another tool that carries out the same graph.

    Attributes:
        name: What it is called, which is also the name of its module.
        about: What it is, in a few words.
        against: The case of ours that promises as much as it does.
        packages: The distributions that it needs.
    """

    name: str
    about: str
    against: CaseName
    packages: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module that runs it."""
        return f"{__package__}.peers.{self.name}"

    def missing(self) -> str | None:
        """Why it can't be measured here; None when it can."""
        absent = [package for package in self.packages if not _is_installed(package)]
        if not absent:
            return None
        return f"{', '.join(absent)} not installed: pip install 'constellation-agents[bench-peers]'"

    def versions(self) -> dict[str, str]:
        """The versions of its packages."""
        return {package: metadata.version(package) for package in self.packages}


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("in_degree", "a counting loop, one coroutine", CaseName.IN_PROCESS),
        Peer("asyncio_graphlib", "the standard library, a task per star", CaseName.IN_PROCESS),
        Peer("taskiq", "in-memory broker", CaseName.IN_PROCESS, ("taskiq",)),
        Peer("pydantic_graph", "a step mapped over each layer", CaseName.IN_PROCESS, ("pydantic-graph",)),
        Peer("agent_framework", "a workflow of executors", CaseName.IN_PROCESS, ("agent-framework-core",)),
        Peer("langgraph", "StateGraph", CaseName.IN_PROCESS, ("langgraph",)),
        Peer(
            "langgraph_sqlite",
            "StateGraph, SQLite checkpoints",
            CaseName.JOURNALED,
            ("langgraph", "langgraph-checkpoint-sqlite"),
        ),
        Peer("dbos", "a workflow of steps, SQLite", CaseName.JOURNALED, ("dbos",)),
        Peer("ray", "tasks, two workers", CaseName.WEBSOCKET, ("ray",)),
        Peer("dask", "distributed, two worker processes", CaseName.WEBSOCKET, ("distributed",)),
    )
}
