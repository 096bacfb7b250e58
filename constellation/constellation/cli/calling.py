"""Calling one tool at the command line: what it reports while it runs, what it returns, and how it is stopped."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import RunBroken
from .stopping import run_until_stopped

if TYPE_CHECKING:
    from constellation_tools import Tool, Toolset

STOPPED = 128
"""Exit codes above this say that a signal has stopped the command."""

GRACE_S = 2.0
"""How long a tool in a thread may take to notice that it should stop, in seconds."""


def call_tool(tools: Toolset, tool: Tool[..., Any], arguments: Mapping[str, Any], *, as_json: bool) -> int:
    """Call a tool, print what comes of it, and return the exit code.

    Raises:
        InvalidArguments: the arguments don't fit.
        RunBroken: the tool failed.
    """
    from constellation_tools import InvalidArguments, ToolContext

    tell = _tell_json if as_json else _tell

    async def call_other(name: str, given: Mapping[str, Any]) -> Any:
        return await tools.get(name).call(given, context)

    def progress(text: str | None, fraction: float | None, data: Any) -> None:
        tell("progress", {"text": text, "fraction": fraction, "data": data})

    context = ToolContext(progress=progress, call=call_other)

    async def body() -> int:
        try:
            async for item in tool.stream(arguments, context):
                tell("item" if tool.streams else "result", item)
        except InvalidArguments as error:
            _tell_error(error, as_json)
            raise
        except Exception as error:  # a tool raises whatever it likes
            _tell_error(error, as_json)
            raise RunBroken(f"{tool.name} failed: {type(error).__name__}: {error}") from error
        return 0

    code = run_until_stopped(body)
    if code > STOPPED:
        leave_threads_behind(code)
    return code


def _tell_json(kind: str, value: Any) -> None:
    from ..console.output import write_text

    write_text(json.dumps({kind: value}, ensure_ascii=False, default=str))


def _tell(kind: str, value: Any) -> None:
    """Results go to the standard output, for whoever reads it; progress is for the person."""
    from ..console.output import write_text
    from ..console.sanitise import visible

    if kind != "progress":
        write_text(json.dumps(value, ensure_ascii=False))
        return
    share = "" if value["fraction"] is None else f"{value['fraction']:4.0%}"
    data = "" if value["data"] is None else json.dumps(value["data"], ensure_ascii=False, default=str)
    write_text("  ".join(visible(part) for part in (share, value["text"] or "", data) if part), sys.stderr)


def _tell_error(error: Exception, as_json: bool) -> None:
    if as_json:
        _tell_json("error", {"type": type(error).__name__, "message": str(error)})


def leave_threads_behind(code: int) -> None:
    """End the process if a tool does not notice that it should stop: the interpreter would wait for its thread."""
    until = time.monotonic() + GRACE_S
    try:
        for thread in _others():
            thread.join(max(0.0, until - time.monotonic()))
    except KeyboardInterrupt:  # somebody has no patience
        os._exit(code)
    if _others():
        sys.stderr.write("the tool does not stop, and is left behind; see check_cancelled of ToolContext\n")
        sys.stdout.flush()
        os._exit(code)


def _others() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
