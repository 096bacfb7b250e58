"""Peer `anthropic`: the function tools of its SDK."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from anthropic import beta_async_tool, beta_tool

context = None


def make(function: Callable[..., Any]) -> Any:
    """By `beta_tool`, or `beta_async_tool`."""
    return beta_async_tool(function) if inspect.iscoroutinefunction(function) else beta_tool(function)


make_quick = make


def schema(made: Any) -> Mapping[str, Any]:
    """The input schema."""
    found: Mapping[str, Any] = made.input_schema
    return found


def description(made: Any) -> str:
    """The description."""
    return str(made.description)


async def call(made: Any, arguments: dict[str, Any]) -> Any:
    """By `call`."""
    result = made.call(arguments)
    return await result if inspect.isawaitable(result) else result
