"""The Model Context Protocol both ways: servers of others as toolsets, and toolsets as servers for others.

    async with McpToolset(McpServer.parse("npx -y @modelcontextprotocol/server-filesystem /srv")) as tools: ...
    await serve_stdio(toolset)

Needs the extra `mcp`, whose official SDK is loaded when a connection is opened.
"""

from .approvals import by_approval
from .elicitation import Elicit, Elicitation, ElicitationAnswer
from .errors import BadMcpServer, McpCallLost, McpError, McpMisbehaved, McpUnavailable
from .settings import McpLimits, McpServer, read_servers
from .toolset import McpToolset

__all__ = [
    "BadMcpServer",
    "Elicit",
    "Elicitation",
    "ElicitationAnswer",
    "McpCallLost",
    "McpError",
    "McpLimits",
    "McpMisbehaved",
    "McpServer",
    "McpToolset",
    "McpUnavailable",
    "by_approval",
    "read_servers",
]
