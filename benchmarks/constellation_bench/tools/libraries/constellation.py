"""Our own tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from constellation_tools import Tool, ToolContext

context = ToolContext


def make(function: Callable[..., Any]) -> Tool[..., Any]:
    """By `Tool.from_function`, which `@tool` does as well."""
    return Tool.from_function(function)


def make_quick(function: Callable[..., Any]) -> Tool[..., Any]:
    """With `blocking=False`: it runs on the event loop."""
    return Tool.from_function(function, blocking=False)


def schema(made: Tool[..., Any]) -> Mapping[str, Any]:
    """The input schema."""
    return made.input_schema


def description(made: Tool[..., Any]) -> str:
    """The description."""
    return made.description


async def call(made: Tool[..., Any], arguments: dict[str, Any]) -> Any:
    """By `call`."""
    return await made.call(arguments)
