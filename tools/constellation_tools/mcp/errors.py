"""Errors of MCP, beside what tools themselves raise.

McpError (a ToolsError)
├── BadMcpServer        what was said of a server can't be: a malformed URL, a secret over a plain connection
├── McpUnavailable      a server can't be started or reached; nothing has been asked of it
├── McpCallLost         the connection ended while a call was under way: nobody knows whether it had its effect
└── McpMisbehaved       a server says what the protocol has no place for, or more than it may
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import ToolsError


class McpError(ToolsError):
    """Base of what goes wrong between us and an MCP server."""


class BadMcpServer(McpError):
    """Raised when what was said of a server makes no sense; the message says what to give instead."""


class McpUnavailable(McpError):
    """Raised when a server can't be started or reached in time: what was to be asked of it has not been asked."""


class McpCallLost(McpError):
    """Raised when the connection ended while a call was under way: whether it had its effect is not known."""


class McpMisbehaved(McpError):
    """Raised when a server does not keep to the protocol, or to the limits that were set for it."""


def require_sdk() -> None:
    """Raise McpError unless the official SDK can be imported."""
    if find_spec("mcp") is None or find_spec("mcp_types") is None:
        raise McpError("this needs the official MCP SDK, which comes with: pip install 'constellation-agents[mcp]'")
