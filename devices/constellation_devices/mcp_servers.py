"""MCP servers that are attached to a device: their tools are offered with its own, and follow when a server changes.

A server that is lost is started again by its toolset; its tools stay offered meanwhile, and calls wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from constellation_tools import Tool, Toolset
from constellation_tools.mcp import McpError, McpServer, McpToolset

from .agent import DeviceAgent
from .errors import BadDeviceSetup

log = logging.getLogger("constellation.device")


@asynccontextmanager
async def attached_servers(servers: Sequence[McpServer], agent: DeviceAgent, own: Toolset) -> AsyncIterator[None]:
    """Start or reach servers and have a device offer their tools; afterwards they are gone.

    Args:
        servers: The servers.
        agent: The device.
        own: What the device offers by itself; a server's tool of the same name does not take its place.

    Raises:
        BadDeviceSetup: a server can't be used, or offers a tool of a name that is taken.
    """
    shelf = _Shelf(agent, own)
    async with AsyncExitStack() as stack:
        for server in servers:
            try:
                toolset = await stack.enter_async_context(McpToolset(server, changed=shelf.put_again))
            except McpError as error:
                raise BadDeviceSetup(str(error)) from error
            shelf.put_first(toolset)
        yield


class _Shelf:
    """Which tools of which server a device offers."""

    def __init__(self, agent: DeviceAgent, own: Toolset) -> None:
        self._agent = agent
        self._owner: dict[str, McpToolset | None] = dict.fromkeys(own.names)

    def put_first(self, toolset: McpToolset) -> None:
        """Offer the tools of a server that has just been started; raises BadDeviceSetup when a name is taken."""
        taken = [name for name in toolset.names if name in self._owner]
        if taken:
            label = toolset.server.label
            raise BadDeviceSetup(
                f"the MCP server {label} offers {', '.join(taken[:5])}, which this device has already: give the server "
                "a name, which its tools then begin with, as in --mcp NAME=COMMAND"
            )
        self._offer(toolset, toolset, ())
        log.info("the MCP server %s offers %d tools", toolset.server.label, len(toolset))

    def put_again(self, toolset: McpToolset) -> None:
        """Offer what a server offers now in the place of what it offered before."""
        gone = [name for name, owner in self._owner.items() if owner is toolset and name not in toolset]
        fitting = [tool for tool in toolset if self._owner.get(tool.name, toolset) is toolset]
        for tool in toolset:
            if tool not in fitting:
                label = toolset.server.label
                log.warning("the tool %s of the MCP server %s is left out: the name is taken", tool.name, label)
        for name in gone:
            del self._owner[name]
        self._offer(toolset, fitting, gone)
        log.info("the MCP server %s offers %d tools now", toolset.server.label, len(fitting))

    def _offer(self, toolset: McpToolset, tools: Iterable[Tool[..., Any]], gone: Sequence[str]) -> None:
        tools = list(tools)
        self._owner.update({tool.name: toolset for tool in tools})
        self._agent.offer(tools, withdraw=gone)
