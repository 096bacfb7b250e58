"""Peer `pydantic-ai`: the function schema of its tools, which its agents validate and call by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_ai import RunContext, Tool

context = RunContext


def make(function: Callable[..., Any]) -> Any:
    """By `Tool`."""
    return Tool(function)


make_quick = make


def schema(made: Any) -> Mapping[str, Any]:
    """Of the tool's definition."""
    found: Mapping[str, Any] = made.tool_def.parameters_json_schema
    return found


def description(made: Any) -> str:
    """Of the tool's definition."""
    return made.tool_def.description or ""


async def call(made: Any, arguments: dict[str, Any]) -> Any:
    """Validate and call as its agents do, without an agent."""
    validated = made.function_schema.validator.validate_python(arguments)
    return await made.function_schema.call(validated, None)
