"""Peer `openai-agents`: its function tools, not strict, with errors raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from agents import function_tool
from agents.tool_context import ToolContext

context = ToolContext


def make(function: Callable[..., Any]) -> Any:
    """By `function_tool`."""
    return function_tool(function, strict_mode=False, failure_error_function=None)


make_quick = make


def schema(made: Any) -> Mapping[str, Any]:
    """The parameters."""
    found: Mapping[str, Any] = made.params_json_schema
    return found


def description(made: Any) -> str:
    """The description."""
    return str(made.description)


async def call(made: Any, arguments: dict[str, Any]) -> Any:
    """By `on_invoke_tool`, which takes JSON text."""
    text = json.dumps(arguments)
    surroundings = ToolContext(context=None, tool_name=made.name, tool_call_id="1", tool_arguments=text)
    return await made.on_invoke_tool(surroundings, text)
