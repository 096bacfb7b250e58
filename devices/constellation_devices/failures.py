"""How an exception that a tool raised becomes the error of its result."""

from __future__ import annotations

import traceback
from typing import Any

from constellation_protocol.errors import ArtifactError
from constellation_protocol.messages import ErrorInfo
from constellation_tools import InvalidArguments, ToolsError

from .errors import WorkFailed

MAX_MESSAGE_CHARS = 4_000
MAX_TRACEBACK_CHARS = 6_000
_TRACEBACK_FRAMES = 8

TIMEOUT = "ToolTimeout"
"""Error type of work that ran out of time, by its own limit or by the attempt's."""

WORKER_DIED = "WorkerDied"
"""Error type of work whose worker process ended under it: a crash, an exit, the system's out-of-memory killer."""

ARTIFACT_UNAVAILABLE = "ArtifactUnavailable"
"""Error type of work that refers to a file, or made one, that could not be carried."""


def describe_failure(error: BaseException) -> ErrorInfo:
    """Say what went wrong: the exception's class as the type; a short traceback where nobody expected it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, WorkFailed):
        return error.info
    name = type(error).__name__
    details: dict[str, Any] = {}
    if isinstance(error, ArtifactError):
        name = ARTIFACT_UNAVAILABLE
    elif isinstance(error, InvalidArguments):
        details["problems"] = [
            {"path": problem.path, "expected": problem.expected, "got": problem.got} for problem in error.problems
        ]
    elif not isinstance(error, ToolsError):
        details["traceback"] = _short_traceback(error)
    message = str(error) or f"{name} without a message"
    return ErrorInfo(type=name, message=_shorten(message, MAX_MESSAGE_CHARS), details=details)


def _short_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error, limit=-_TRACEBACK_FRAMES))
    return speakable(text if len(text) <= MAX_TRACEBACK_CHARS else f"…{text[-MAX_TRACEBACK_CHARS:]}")


def _shorten(text: str, limit: int) -> str:
    return speakable(text if len(text) <= limit else f"{text[:limit]}…")


def speakable(text: str) -> str:
    """Replace what is not Unicode text, such as the bytes of a strange file name: it could not be sent."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
