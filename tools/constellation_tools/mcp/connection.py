"""One connection to a server, from its introduction to its end: what it offers, and calls of its tools.

The SDK speaks the protocol, in the old form with a handshake and in the new one without; which of them a server
understands is found out when the connection is opened.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.abc import TaskStatus
from pydantic import ValidationError

from ..context import ToolContext
from ..errors import ToolFailed
from ..wording import cleaned
from .content import resource_of, result_of
from .elicitation import Elicit, answering
from .errors import McpError, McpMisbehaved, McpUnavailable
from .http import ANSWER_LOST, NOT_ASKED, http_transport
from .screening import screened
from .settings import McpServer
from .stdio import stdio_transport

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client, MCPError
    from mcp.client.session import IncomingMessage

PROBE_S = 5.0
"""How long a server that has let a call run out of time may take to show that it is still there, in seconds."""

_ERROR_CHARS = 2_000
_PROGRESS_CHARS = 2_000

_SESSION_GONE = "Session terminated"
"""What the SDK says of a request whose session the server does not know any more."""

_SDKS_WORDS = ("Connection closed", "SSE stream")
"""How the SDK begins to say that an answer will not come."""

T = TypeVar("T")

log = logging.getLogger("constellation.mcp")


class NotAsked(McpError):
    """Raised when a request has not reached the server: it may be made again."""


class AnswerLost(McpError):
    """Raised when a request may have reached the server, and its answer can't be had any more."""


class Connection:
    """A server that has introduced itself; made by `open_connection`.

    Attributes:
        ended: Set when it can't be used any more.
        reason: Why, once it has ended.
        in_flight: How many requests are under way.
    """

    def __init__(self, server: McpServer, list_changed: Callable[[], None]) -> None:
        self._server = server
        self._list_changed = list_changed
        self._client: Client | None = None
        self.in_flight = 0
        self._introduction = anyio.CancelScope(deadline=anyio.current_time() + server.limits.start_s)
        self._introduced = False
        self.ended = anyio.Event()
        self.reason = ""

    def wants_task(self, tool: mcp_types.Tool) -> bool:
        """Whether calls of a tool have to be made as tasks of the older protocol."""
        capability = self.client.server_capabilities.tasks
        can = capability is not None and capability.requests is not None and capability.requests.tools is not None
        return can and tool.execution is not None and tool.execution.task_support == "required"

    @property
    def client(self) -> Client:
        """The SDK's client."""
        assert self._client is not None  # set before anybody gets to see the connection
        return self._client

    def introduced(self) -> None:
        """The server has said what it offers, so that its time for that is over; to be called within its limit."""
        self._introduced = True
        self._introduction.deadline = math.inf

    def end(self, reason: str) -> None:
        """The server can't be asked any more over this connection."""
        if not self.ended.is_set():
            self.reason = cleaned(reason, _ERROR_CHARS)
            self.ended.set()

    async def tools(self) -> list[mcp_types.Tool]:
        """All tools of the server, page by page.

        Raises:
            NotAsked, AnswerLost: the server can't be asked.
            McpMisbehaved: there is no end to them, or its answers are none.
        """
        if self.client.server_capabilities.tools is None:
            return []
        limits = self._server.limits
        with anyio.move_on_after(limits.start_s):
            return await self._all_tools()
        raise McpMisbehaved(f"it did not list its tools within {limits.start_s:g} s")

    async def _all_tools(self) -> list[mcp_types.Tool]:
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(self._server.limits.tools):
            page = await self._ask(lambda cursor=cursor: self.client.list_tools(cursor=cursor))  # type: ignore[misc]
            found += page.tools
            cursor = page.next_cursor
            if len(found) > self._server.limits.tools:
                raise McpMisbehaved(f"it offers more than {self._server.limits.tools} tools")
            if cursor is None:
                return found
        raise McpMisbehaved("its list of tools has no end")

    async def call(self, name: str, arguments: dict[str, Any], context: ToolContext, *, as_task: bool = False) -> Any:
        """Call a tool by the server's name for it, and return what comes back as JSON types.

        Args:
            name: The tool.
            arguments: Its arguments.
            context: Takes progress and files.
            as_task: Whether the server takes calls of this tool only as tasks of the older protocol.

        Raises:
            ToolFailed: the server says that the tool failed, or refuses the call.
            NotAsked, AnswerLost: the server can't be asked, or did not answer.
            McpMisbehaved: it answered with what is no result.
        """
        from .tasks import call_as_task, tell

        async def told(progress: float, total: float | None, message: str | None) -> None:
            fraction = min(1.0, max(0.0, progress / total)) if total else None
            context.progress(cleaned(message, _PROGRESS_CHARS) or None, fraction=fraction)

        token = tell.set(lambda message: context.progress(cleaned(message, _PROGRESS_CHARS)))
        try:
            if as_task:
                ttl_s = self._server.limits.call_s
                result = await self._ask(lambda: call_as_task(self.client.session, name, arguments, ttl_s))
            else:
                result = await self._ask(lambda: self.client.call_tool(name, arguments, progress_callback=told))
        finally:
            tell.reset(token)
        return await result_of(result, context)

    async def read_resource(self, uri: str, context: ToolContext) -> Any:
        """Read a resource; raises as `call` does."""
        return await resource_of(await self._ask(lambda: self.client.read_resource(uri)), context)

    async def resources(self) -> list[Any]:
        """The server's resources and templates of resources; raises as `call` does."""
        pages = [await self._ask(self.client.list_resources)]
        while (cursor := pages[-1].next_cursor) is not None and len(pages) < self._server.limits.tools:
            pages.append(await self._ask(lambda cursor=cursor: self.client.list_resources(cursor=cursor)))  # type: ignore[misc]
        found: list[Any] = [resource for page in pages for resource in page.resources]
        with suppress(ToolFailed):  # a server that has none need not know of them
            templates = [await self._ask(self.client.list_resource_templates)]
            while (cursor := templates[-1].next_cursor) is not None and len(templates) < self._server.limits.tools:
                templates.append(
                    await self._ask(lambda cursor=cursor: self.client.list_resource_templates(cursor=cursor))  # type: ignore[misc]
                )
            found += [template for page in templates for template in page.resource_templates]
        return found

    async def probe(self, waiting: int) -> None:
        """Ask for something harmless, and end the connection when no answer comes.

        Args:
            waiting: How many calls were under way beforehand: a server that may be at work for them is left alone.
        """
        with anyio.move_on_after(PROBE_S) as scope:
            # Also a refusal is an answer; and what has ended by itself need not be ended.
            with suppress(McpError, ToolFailed):
                await self._ask(self.client.list_tools)
        if scope.cancelled_caught and not waiting:
            self.end(f"it does not answer within {PROBE_S:g} s")

    async def heed_changes(self, *, task_status: TaskStatus[None]) -> None:
        """Tell of changes of the list of tools, where they have to be asked for; started once none is missed."""
        from mcp import MCPError
        from mcp.client.subscriptions import SubscriptionLost
        from mcp_types.version import MODERN_PROTOCOL_VERSIONS

        tools = self.client.server_capabilities.tools
        if self.client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            task_status.started()
            return  # it tells by itself, or never
        heeded = False
        try:
            async with self.client.listen(tools_list_changed=True) as events:
                heeded = True
                task_status.started()
                async for _ in events:
                    self._list_changed()
        except (SubscriptionLost, MCPError) as error:
            log.warning("the MCP server %s does not tell of changes: %s", self._server.label, error)
            if not heeded:
                task_status.started()

    async def take_message(self, message: IncomingMessage) -> None:
        """Take in what the server says outside of answers."""
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self._list_changed()

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        from mcp import MCPError

        if self.ended.is_set():
            raise NotAsked(self.reason)
        self.in_flight += 1
        try:
            return await ask()
        except MCPError as error:
            raise self._told(error) from error
        except ValidationError as error:
            raise McpMisbehaved(f"its answer is none: {cleaned(str(error), _ERROR_CHARS)}") from error
        except RuntimeError as error:  # what the SDK says of results that don't fit the tool's own schema
            raise McpMisbehaved(cleaned(str(error), _ERROR_CHARS)) from error
        finally:
            self.in_flight -= 1

    def _told(self, error: MCPError) -> Exception:
        """What an error of the SDK, or one that the server sent, means for the one who asked."""
        from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR

        message = cleaned(error.message, _ERROR_CHARS)
        if error.code == NOT_ASKED:
            return NotAsked(message)
        over_http = bool(self._server.url)
        if over_http and error.code == INVALID_REQUEST and error.message == _SESSION_GONE:
            self.end("it has forgotten the session")
            return NotAsked(self.reason)
        if not over_http and error.code == ANSWER_LOST:
            return McpMisbehaved(message)
        # Servers use the SDK's code for a lost connection for errors of their own, too.
        is_sdks = error.code == CONNECTION_CLOSED and error.message.startswith(_SDKS_WORDS)
        lost = is_sdks or error.code in (ANSWER_LOST, PARSE_ERROR) if over_http else self.ended.is_set()
        if lost:
            return AnswerLost(self.reason or message)
        return ToolFailed(f"the MCP server {self._server.label} refuses: {message or f'error {error.code}'}")


@asynccontextmanager
async def open_connection(
    server: McpServer, *, elicit: Elicit | None, list_changed: Callable[[], None]
) -> AsyncIterator[Connection]:
    """Start or reach a server and have it introduce itself; the connection is closed afterwards.

    Its time for that runs until `Connection.introduced` is called.

    Raises:
        McpUnavailable: it can't be started or reached, or takes longer.
    """
    from mcp import Client
    from mcp_types import Implementation

    from .tasks import TasksExtension

    connection = Connection(server, list_changed)
    transport = http_transport(server) if server.url else stdio_transport(server, connection.end)
    client = Client(
        screened(transport, server.label),
        message_handler=connection.take_message,
        elicitation_callback=None if elicit is None else answering(elicit, server.label),
        client_info=Implementation(name="constellation", version=metadata.version("constellation-agents")),
        extensions=[TasksExtension()],
        cache=None,
    )
    try:
        with connection._introduction:
            async with client:
                connection._client = client
                try:
                    yield connection
                finally:
                    connection.end("the connection is closed")
    except Exception as error:
        cause = next((leaf for leaf in _leaves(error) if isinstance(leaf, McpError)), None)
        if connection._introduced or cause is not None:
            raise (cause or error) from error
        reason = connection.reason or "; ".join(dict.fromkeys(str(leaf) for leaf in _leaves(error)))
        raise McpUnavailable(f"the MCP server {server.label} can't be used: {cleaned(reason, _ERROR_CHARS)}") from error
    if not connection._introduced:
        limit_s = server.limits.start_s
        raise McpUnavailable(f"the MCP server {server.label} did not say what it offers within {limit_s:g} s")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error
