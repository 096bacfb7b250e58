"""`wait`, a tool for models that take no results later than at once: it waits for background calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ..tool import Tool
from .background import Background, Delivery
from .record import CURRENT

NAME = "wait"
MAX_WAIT_S = 3600.0


class Finished(TypedDict):
    """A background call that has ended.

    Attributes:
        handle: Its handle.
        tool: The tool's name.
        is_error: Whether it failed.
        result: What it returned, or why it failed.
    """

    handle: str
    tool: str
    is_error: bool
    result: Any


class Pending(TypedDict):
    """A background call that goes on.

    Attributes:
        handle: Its handle.
        tool: The tool's name.
        status: Where it stands.
    """

    handle: str
    tool: str
    status: str


class Waited(TypedDict):
    """What has come of waiting.

    Attributes:
        finished: Calls that have ended, each told once.
        pending: Calls that go on.
    """

    finished: list[Finished]
    pending: list[Pending]


def wait_tool(background: Background) -> Tool[..., Any]:
    """The tool, for the background calls of one runner."""

    async def wait(
        handles: Annotated[list[str] | None, Field(description="Their handles; all when left out.")] = None,
        mode: Annotated[Literal["any", "all"], Field(description="Wait for one of them, or for all.")] = "any",
        timeout_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S, description="For how many seconds at most.")] = 60.0,
    ) -> Waited:
        """Wait for tool calls that go on in the background, and get the results of those that have ended."""
        await background.wait(handles, for_all=mode == "all", timeout_s=timeout_s)
        taken = background.take(handles)
        call = CURRENT.get(None)
        if call is not None:  # results that it does not bring home are to be had again
            call.undo.append(lambda: background.put_back(taken))
        return _told(taken, background)

    # Each of the results has been cut to its own limit already.
    return Tool.from_function(wait, name=NAME, max_output_bytes=2**31)


def _told(taken: Sequence[Delivery], background: Background) -> Waited:
    return {
        "finished": [
            {
                "handle": each.handle,
                "tool": each.result.name,
                "is_error": each.result.is_error,
                "result": each.result.value,
            }
            for each in taken
        ],
        "pending": [
            {"handle": each.handle, "tool": each.call.name, "status": each.state.task_status}
            for each in background.pending
        ],
    }
