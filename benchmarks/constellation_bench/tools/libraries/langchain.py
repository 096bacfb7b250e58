"""Peer `langchain-core`: structured tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.tools import StructuredTool

context = None


def make(function: Callable[..., Any]) -> Any:
    """By `StructuredTool.from_function`, with descriptions from the docstring where it is in the style it knows."""
    asynchronous = inspect.iscoroutinefunction(function)
    given: dict[str, Any] = {"coroutine": function} if asynchronous else {"func": function}
    if not function.__doc__:
        given["description"] = "Does something."  # it takes no function without
    try:
        return StructuredTool.from_function(**given, parse_docstring=True)
    except ValueError:
        return StructuredTool.from_function(**given)


make_quick = make


def schema(made: Any) -> Mapping[str, Any]:
    """The schema for calls."""
    found: Mapping[str, Any] = made.tool_call_schema.model_json_schema()
    return found


def description(made: Any) -> str:
    """The description."""
    return str(made.description)


async def call(made: Any, arguments: dict[str, Any]) -> Any:
    """By `ainvoke`."""
    return await made.ainvoke(arguments)
