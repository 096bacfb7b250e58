"""How much of a result is handed on, and what a model is told of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..dialects import ToolResult
from ..errors import ToolsError


def size_of(result: ToolResult) -> int:
    """The length of a result as text, in bytes."""
    return len(result.text.encode(errors="replace"))


def limited(result: ToolResult, most_bytes: int) -> ToolResult:
    """A result that is at most so long, or the start and the end of its text with a note on what is missing.

    What was structured becomes text then: half an object is none.
    """
    encoded = result.text.encode(errors="replace")
    if len(encoded) <= most_bytes:
        return result
    head, tail = encoded[: most_bytes - most_bytes // 2], encoded[len(encoded) - most_bytes // 2 :]
    note = f"\n[... {len(encoded) - most_bytes} of {len(encoded)} bytes left out; ask for less at a time ...]\n"
    text = head.decode(errors="ignore") + note + tail.decode(errors="ignore")
    return ToolResult(result.id, result.name, text, result.is_error)


def sendable(result: ToolResult) -> ToolResult:
    """A result that can be sent: half characters, such as of names of files that are not UTF-8, become `?`."""
    try:
        result.text.encode()
    except UnicodeEncodeError:
        structured = None if result.structured is None else _whole(result.structured)
        return replace(result, value=_whole(result.value), structured=structured)
    return result


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_whole(name): _whole(below) for name, below in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value


def told(error: BaseException) -> str:
    """What a model is to know of a failure; nothing of our code is in it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, ToolsError):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(told(each) for each in error.exceptions)
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # an exception of a tool is its own code, too
        message = ""
    return f"{name}: {message}" if message else f"{name} without a message"


def failed(id: str, name: str, error: Any) -> ToolResult:
    """The result of a call that failed, by an error or by what is to be said of it."""
    return ToolResult(id, name, told(error) if isinstance(error, BaseException) else error, is_error=True)
