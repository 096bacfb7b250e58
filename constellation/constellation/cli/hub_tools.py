"""What a hub can be asked for, as tools: devices, checking and submitting graphs, watching, results, cancelling.

Each call has a connection of its own, so that a hub which was started again is simply asked the next time. Deciding
about approvals is left out: they are questions to people, and whoever calls these tools may be none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from pydantic import Field

from constellation_protocol import ProtocolError
from constellation_tools import ToolContext, ToolFailed, Toolset, tool, tools_of

from ..graph import GraphError
from ..graph.documents import load
from ..orchestrator.errors import ConstellationError
from ..orchestrator.events import Event, RunFinished
from .errors import told

if TYPE_CHECKING:
    from ssl import SSLContext

    from ..orchestrator.client import RemoteOrchestrator

CALL_S = 60.0
"""How long a call may take that only asks for something, in seconds."""

MAX_WATCH_S = 3600.0

INSTRUCTIONS = """\
This server runs workflows on the devices of a Constellation hub. A workflow is a graph: stars do work, each with one of
the tools that devices offer, and a star that refers to another's output waits for it. See list_devices for the tools,
try a graph with check_graph, submit it, then watch the run until it has ended."""

Graph = Annotated[
    dict[str, Any],
    Field(
        description=(
            'The graph, such as {"name": "hello", "stars": {"greet": {"work": {"tool": "greet", "arguments": '
            '{"who": "world"}}}, "shout": {"work": {"tool": "upper", "arguments": {"text": {"$ref": "greet"}}}}}}. '
            'A reference {"$ref": "STAR#/pointer"} stands for the output of another star. "lines" may hold further '
            'dependencies: {"source": STAR, "target": STAR, "trigger": "success" | "failure" | "completion"}.'
        ),
        json_schema_extra={"additionalProperties": True},
    ),
]
RunId = Annotated[str, Field(description="The run's id, as submit_graph and list_runs tell it.", min_length=1)]


@dataclass(frozen=True)
class Device:
    """A device that can take work."""

    name: str
    state: str
    free_slots: int
    labels: dict[str, str]
    resources: dict[str, float]
    tools: list[str]


@dataclass(frozen=True)
class GraphProblem:
    """What keeps a graph from being carried out, and what to do."""

    star: str
    message: str
    path: list[str | int]


@dataclass(frozen=True)
class Submitted:
    """A run that has begun."""

    run: str
    name: str


@dataclass(frozen=True)
class RunInfo:
    """A run in the hub's journal; times in seconds since the epoch."""

    run: str
    name: str
    state: str
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class FailedStar:
    """A star that did not succeed."""

    star: str
    state: str
    error: str


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        run: Its id.
        name: Its name.
        state: `running`, `succeeded`, `failed` or `cancelled`.
        stars: How many stars are in each state.
        seconds: From the first start of a star to the last end so far.
        outputs: What the stars that nothing waits for have returned, by star.
        failed: The stars that failed, were cancelled, or were skipped.
        error: Why the run as a whole did not succeed.
    """

    run: str
    name: str
    state: str
    stars: dict[str, int]
    seconds: float
    outputs: dict[str, Any]
    failed: list[FailedStar]
    error: str | None


class HubTools:
    """The tools of one hub."""

    def __init__(self, url: str, token: str, ssl: SSLContext | None) -> None:
        self._url = url
        self._token = token
        self._ssl = ssl

    @tool(read_only=True, open_world=False, timeout_s=CALL_S)
    async def list_devices(self) -> list[Device]:
        """List the devices that are connected to the hub, with the tools that each offers."""
        async with self.connected() as hub:
            return [
                Device(
                    info.name,
                    info.state,
                    max(0, info.slots - info.busy),
                    dict(info.labels),
                    dict(info.resources),
                    list(info.tools),
                )
                for info in await hub.devices()
            ]

    @tool(read_only=True, open_world=False, timeout_s=CALL_S)
    async def check_graph(self, graph: Graph) -> list[GraphProblem]:
        """Check a graph without running it. An empty list means that it can be submitted."""
        async with self.connected() as hub:
            problems = await hub.check(load(graph))
        return [GraphProblem(each.star, each.message, list(each.path)) for each in problems]

    @tool(destructive=True, open_world=True, runs_programs=True, timeout_s=CALL_S)
    async def submit_graph(self, graph: Graph) -> Submitted:
        """Start a run of a graph on the hub's devices, and return its id at once; doing so again starts another run."""
        async with self.connected() as hub:
            run = await hub.submit(load(graph), info={"source": "mcp"})
        return Submitted(run.id, run.name)

    @tool(read_only=True, open_world=False)
    async def watch_run(
        self,
        run: RunId,
        context: ToolContext,
        timeout_s: Annotated[float, Field(gt=0, le=MAX_WATCH_S)] = 60.0,
    ) -> RunState:
        """Wait until a run has ended, or for some seconds, and tell of its events meanwhile as progress.

        Args:
            run: The run's id.
            context: Takes the events.
            timeout_s: How long to wait, in seconds; the run goes on afterwards, and can be watched again.
        """
        async with self.connected() as hub:
            with anyio.move_on_after(timeout_s):
                watcher = _Watcher(context)
                async for event in (await hub.find_run(run)).events():
                    watcher.tell(event)
                    if isinstance(event, RunFinished):
                        break
            return await _state(hub, run)

    @tool(read_only=True, open_world=False, timeout_s=CALL_S)
    async def run_result(self, run: RunId) -> RunState:
        """Tell where a run stands, what it has returned, and what went wrong. It may be one that ended long ago."""
        async with self.connected() as hub:
            return await _state(hub, run)

    @tool(idempotent=True, destructive=True, open_world=False, runs_programs=False, timeout_s=CALL_S)
    async def cancel_run(
        self,
        run: RunId,
        star: Annotated[str | None, Field(description="Only this star and not the whole run.")] = None,
        reason: Annotated[str, Field(description="Why, for people.")] = "",
    ) -> Literal["cancelled"]:
        """Cancel a run, or one star of it; what is under way is stopped."""
        async with self.connected() as hub:
            await (await hub.find_run(run)).cancel(star, reason=reason or "asked for over MCP")
        return "cancelled"

    @tool(read_only=True, open_world=False, timeout_s=CALL_S)
    async def list_runs(self, limit: Annotated[int, Field(ge=1, le=1000)] = 20) -> list[RunInfo]:
        """List the newest runs, the newest first."""
        async with self.connected() as hub:
            found = await hub.runs(limit=limit)
        return [
            RunInfo(each.run, each.name, each.state, each.created_at, each.updated_at)
            for each in found
            if each.parent is None  # nested runs are stars of the runs that they belong to
        ]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[RemoteOrchestrator]:
        """A connection to the hub.

        Raises:
            ToolFailed: something that is the caller's to mend went wrong within, or the hub can't be reached.
        """
        from ..orchestrator.orchestrator import Orchestrator

        try:
            async with Orchestrator.connect(self._url, self._token, ssl=self._ssl) as hub:
                yield hub
        except (ConstellationError, GraphError, ProtocolError) as error:
            raise ToolFailed("\n".join(told(error))) from error


def hub_toolset(tools: HubTools) -> Toolset:
    """The tools of a hub as a toolset."""
    return tools_of(tools, name="hub")


class _Watcher:
    """Tells a run's events as progress: a line for each that says something, and the share of stars that have ended."""

    def __init__(self, context: ToolContext) -> None:
        self._context = context
        self._stars: int = 0
        self._ended = 0

    def tell(self, event: Event) -> None:
        from ..console.lines import describe
        from ..orchestrator import events as ev

        if isinstance(event, ev.RunStarted):
            self._stars = event.stars
        elif isinstance(event, ev.StarSettled):
            self._ended += 1
        line = describe(event)
        share = min(1.0, self._ended / self._stars) if self._stars else None
        if line is not None:
            self._context.progress(line.text, fraction=share)


async def _state(hub: RemoteOrchestrator, run: str) -> RunState:
    _, report = await hub.show(run)
    failed = [
        FailedStar(row.id, row.state, row.error or "")
        for row in report.rows
        if row.state in ("failed", "cancelled", "skipped")
    ]
    outputs: Mapping[str, Any] = report.outputs
    return RunState(
        report.run,
        report.name,
        report.state,
        {state: count for state, count in report.stars.items() if count},
        report.makespan_s,
        dict(outputs),
        failed,
        report.error,
    )
