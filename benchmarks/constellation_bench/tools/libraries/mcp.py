"""Peer `mcp`: the function tools of the official SDK's server, run without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool

context = Context


def make(function: Callable[..., Any]) -> Any:
    """By `Tool.from_function`."""
    return Tool.from_function(function)


make_quick = make


def schema(made: Any) -> Mapping[str, Any]:
    """The parameters."""
    found: Mapping[str, Any] = made.parameters
    return found


def description(made: Any) -> str:
    """The description."""
    return made.description or ""


async def call(made: Any, arguments: dict[str, Any]) -> Any:
    """By `run`."""
    return await made.run(arguments, Context())
