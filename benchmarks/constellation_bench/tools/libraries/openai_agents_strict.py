"""Peer `openai-agents` as it makes tools by default: strict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import function_tool

from .openai_agents import call, context, description, schema

__all__ = ["call", "context", "description", "make", "make_quick", "schema"]


def make(function: Callable[..., Any]) -> Any:
    """By `function_tool`."""
    return function_tool(function, failure_error_function=None)


make_quick = make
