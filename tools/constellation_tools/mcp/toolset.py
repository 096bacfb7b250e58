"""`McpToolset`: the tools of an MCP server, for as long as it is entered, over as many connections as that takes.

A connection that ends is opened again, after a pause that grows. Calls wait for that a while. What was under way when
a connection ended is called again only where that can do no harm; else the call says that nobody knows.

    opened ──► listed ──► (changed ──► listed …) ──► ended ──► pause ──► opened …
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
from anyio.abc import TaskStatus

from ..context import ToolContext
from ..errors import ToolDefinitionError, ToolFailed
from ..tool import Tool
from ..toolset import Toolset
from .backoff import Backoff
from .connection import AnswerLost, Connection, NotAsked, open_connection
from .content import listed
from .elicitation import Elicit
from .errors import McpCallLost, McpError, McpMisbehaved, McpUnavailable, require_sdk
from .naming import tool_names
from .offering import RESOURCE_TOOLS, described, is_idempotent, resource_tools
from .settings import McpServer

if TYPE_CHECKING:
    import mcp_types

STEADY_S = 10.0
"""How long a connection has to last for its end to count as the first failure, in seconds."""

RELIST_PAUSE_S = 0.1
"""The least time between two looks at a server's list of tools, in seconds."""

T = TypeVar("T")

log = logging.getLogger("constellation.mcp")


class McpToolset(Toolset):
    """The tools of a server; use it as an async context manager. Its tools are others after the server changes them."""

    def __init__(
        self,
        server: McpServer,
        *,
        elicit: Elicit | None = None,
        changed: Callable[[McpToolset], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Do nothing yet.

        Args:
            server: What is started or reached.
            elicit: Has questions answered that the server asks in the middle of a call; without it, it may ask none.
            changed: Called after the tools have become others.
            backoff: How long to wait between tries to reach it again.
        """
        super().__init__(name=server.name)
        self.server = server
        self._elicit = elicit
        self._notify = changed
        self._backoff = backoff or Backoff()
        self._connection: Connection | None = None
        self._away = "it has not been started"
        self._connected = anyio.Event()
        self._list_changed = anyio.Event()
        self._listed: list[mcp_types.Tool] = []
        self._calls = anyio.Semaphore(server.limits.parallel)

    async def __aenter__(self) -> Self:
        """Start or reach the server, and list its tools.

        Raises:
            McpUnavailable: it can't be started or reached.
            McpMisbehaved: what it says of its tools makes no sense.
            McpError: the SDK is not installed.
        """
        require_sdk()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            await self._tasks.start(self._keep_connected)
        except BaseException as error:
            await self._leave(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; calls that are under way are lost."""
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        self._away = "the toolset is closed"
        self._tasks.cancel_scope.cancel()
        # An error that passes through would come out in a group; whoever raised it shall see it as it is.
        passing = None if isinstance(error, Exception) else error
        trace = None if passing is None else passing.__traceback__
        await self._tasks.__aexit__(None if passing is None else type(passing), passing, trace)
        self._connected.set()  # who still waits learns that nothing will come

    @property
    def connected(self) -> bool:
        """Whether the server can be asked at this moment, as far as is known."""
        return self._connection is not None

    async def read_resource(self, uri: str, context: ToolContext | None = None) -> Any:
        """Return the text of one of the server's resources, or the artifact of one that is no text.

        Raises:
            ToolFailed: the server refuses.
            McpError: the server can't be asked.
        """
        own = context or ToolContext()
        return await self._ask(f"resource {uri}", lambda to: to.read_resource(uri, own), may_repeat=True)

    async def resources(self) -> list[dict[str, Any]]:
        """What the server says of its resources and templates of resources, in the protocol's form.

        Raises:
            ToolFailed: the server refuses.
            McpError: the server can't be asked.
        """
        return listed(await self._ask("resources", lambda to: to.resources(), may_repeat=True))

    # --- connections ------------------------------------------------------------------------------------------------

    async def _keep_connected(self, *, task_status: TaskStatus[None]) -> None:
        failures = 0
        first = True
        while True:
            begun = anyio.current_time()
            try:
                async with (
                    open_connection(
                        self.server, elicit=self._elicit, list_changed=lambda: self._list_changed.set()
                    ) as connection,
                    anyio.create_task_group() as tasks,
                ):
                    await tasks.start(connection.heed_changes)
                    self._take(await connection.tools(), has_resources=_has_resources(connection))
                    connection.introduced()
                    self._connection = connection
                    self._connected.set()
                    if first:
                        first = False
                        task_status.started()
                    tasks.start_soon(self._relist, connection)
                    await connection.ended.wait()
                    tasks.cancel_scope.cancel()
                reason = connection.reason
            except Exception as error:  # whatever ends one connection, another one may be had
                if first:
                    raise self._unusable(error) from error
                reason = str(error)
            finally:
                self._connection = None
                if self._connected.is_set():  # else somebody may be waiting for it
                    self._connected = anyio.Event()
            self._away = reason
            failures = 1 if anyio.current_time() - begun > STEADY_S else failures + 1
            delay_s = self._backoff.delay_s(failures, random.random())
            log.warning("the MCP server %s is away: %s; next try in %.1f s", self.server.label, reason, delay_s)
            await anyio.sleep(delay_s)

    async def _relist(self, connection: Connection) -> None:
        while True:
            await self._list_changed.wait()
            self._list_changed = anyio.Event()
            try:
                self._take(await connection.tools(), has_resources=_has_resources(connection))
            except (McpError, ToolFailed) as error:
                log.warning("the tools of the MCP server %s can't be listed: %s", self.server.label, error)
            await anyio.sleep(RELIST_PAUSE_S)

    def _unusable(self, error: Exception) -> Exception:
        if isinstance(error, McpUnavailable):
            return error
        kind = McpMisbehaved if isinstance(error, McpMisbehaved) else McpUnavailable
        return kind(f"the MCP server {self.server.label} can't be used: {error}")

    # --- tools ------------------------------------------------------------------------------------------------------

    def _take(self, tools: list[mcp_types.Tool], *, has_resources: bool) -> None:
        """Offer the tools that a server lists; what can't be a tool is left out, with a warning that says why."""
        if tools == self._listed and self._tools:
            return
        taken: dict[str, Tool[..., Any]] = {}
        names = tool_names((tool.name for tool in tools), self.server.tool_prefix)
        said = 0
        for tool in tools:
            name = names[tool.name]
            said += len(tool.model_dump_json())
            try:
                if name in taken:
                    raise McpMisbehaved("it offers two tools of this name")
                if said > self.server.limits.list_bytes:
                    raise McpMisbehaved(f"it says more than {self.server.limits.list_bytes} bytes of its tools")
                taken[name] = described(tool, name, self.server, partial(self._call, tool.name))
            except (McpMisbehaved, ToolDefinitionError) as error:
                log.warning("the tool %s of the MCP server %s is left out: %s", name, self.server.label, error)
        if has_resources and self.server.resources:
            calls = dict(zip(RESOURCE_TOOLS, (self._call_list_resources, self._call_read_resource), strict=True))
            for tool_ in resource_tools(self.server, calls):
                taken.setdefault(tool_.name, tool_)
        first = not self._listed and not self._tools
        self._listed, self._tools = tools, taken
        if not first and self._notify is not None:
            self._notify(self)

    async def _call(self, tool: str, arguments: dict[str, Any], context: ToolContext) -> Any:
        found = next((each for each in self._listed if each.name == tool), None)

        async def call(to: Connection) -> Any:
            return await to.call(tool, arguments, context, as_task=found is not None and to.wants_task(found))

        may_repeat = found is not None and is_idempotent(found, self.server)
        return await self._ask(f"tool {tool!r}", call, may_repeat=may_repeat)

    async def _call_list_resources(self, arguments: dict[str, Any], context: ToolContext) -> Any:
        return await self.resources()

    async def _call_read_resource(self, arguments: dict[str, Any], context: ToolContext) -> Any:
        return await self.read_resource(arguments["uri"], context)

    async def _ask(self, what: str, ask: Callable[[Connection], Awaitable[T]], *, may_repeat: bool) -> T:
        """Ask the server something, over the next connection where this one has not carried the question."""
        deadline = anyio.current_time() + self.server.limits.away_s
        tries = 0
        async with self._calls:
            while True:
                connection = await self._wait_connected(what, deadline)
                try:
                    return await ask(connection)
                except NotAsked as error:
                    tries += 1
                    delay_s = self._backoff.delay_s(tries, random.random())
                    if anyio.current_time() + delay_s > deadline:
                        raise self._unavailable(what, str(error)) from error
                    await anyio.sleep(delay_s)
                except AnswerLost as error:
                    if not may_repeat:
                        raise McpCallLost(
                            f"the MCP server {self.server.label} was lost in the middle of the {what}: {error}; "
                            "whether it had its effect is not known"
                        ) from error
                    may_repeat = False
                except McpMisbehaved as error:
                    raise McpMisbehaved(f"the MCP server {self.server.label}, asked for the {what}: {error}") from error
                except anyio.get_cancelled_exc_class():
                    self._tasks.start_soon(connection.probe, connection.in_flight)
                    raise

    async def _wait_connected(self, what: str, deadline: float) -> Connection:
        with anyio.CancelScope(deadline=deadline):
            while self._connection is None and not self._tasks.cancel_scope.cancel_called:
                await self._connected.wait()
        if self._connection is None:
            raise self._unavailable(what, self._away)
        return self._connection

    def _unavailable(self, what: str, reason: str) -> McpUnavailable:
        return McpUnavailable(
            f"the MCP server {self.server.label} can't be asked for the {what}: {reason}; nothing has been done"
        )


def _has_resources(connection: Connection) -> bool:
    return connection.client.server_capabilities.resources is not None
