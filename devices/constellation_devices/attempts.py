"""One attempt on this device: what was asked, what it reports, and whether it is being stopped."""

from __future__ import annotations

from typing import Any, Literal

import anyio

from constellation_protocol.messages import Assign
from constellation_tools import Tool

from .progress import ProgressBuffer

StopReason = Literal["cancelled", "timeout"]


class Attempt:
    """The state of one attempt from its acceptance to its result. Changed on the event loop only.

    Attributes:
        id: The attempt's id.
        assign: What was asked.
        tool: The tool that does it.
        instant: Whether it can be done on the spot, without waiting for anything.
        session: The session that it was last assigned in; only compared, never asked.
        started_at: When it was accepted, in seconds since the epoch.
        started: The same moment on the monotonic clock.
        scope: Cancels the code that runs it; None while none runs.
        stop: Why it is being stopped, None while it is not.
        stop_message: The same for people.
        grace_s: How long it may take to stop by itself, in seconds.
        carries_files: Whether its result waits for files to be carried.
        settled: Whether its result is decided; whatever comes later is not heard.
    """

    # What an attempt begins with stands in the class: most have nothing else of these to the end.
    scope: anyio.CancelScope | None = None
    stop: StopReason | None = None
    stop_message = ""
    grace_s = 0.0
    carries_files = False
    settled = False
    _progress: ProgressBuffer | None = None

    def __init__(
        self, assign: Assign, tool: Tool[..., Any], session: object, started_at: float, started: float
    ) -> None:
        self.id = assign.attempt
        self.assign = assign
        self.tool = tool
        self.instant = not (tool.blocking or tool.is_async or assign.artifacts)
        self.session = session
        self.started_at = started_at
        self.started = started

    @property
    def limit_s(self) -> float | None:
        """The shorter of the attempt's and the tool's time limits, in seconds; None for no limit."""
        one, other = self.assign.timeout_s, self.tool.timeout_s
        return one if other is None or (one is not None and one < other) else other

    @property
    def progress(self) -> ProgressBuffer:
        """What it reported and has not been sent."""
        if self._progress is None:
            self._progress = ProgressBuffer()
        return self._progress

    def is_stopping(self) -> bool:
        """Whether its work should come to an end; asked by tools from their own threads."""
        return self.stop is not None or self.settled

    def begin_stop(self, reason: StopReason, grace_s: float, message: str) -> bool:
        """Start stopping it; False when that has begun before or there is nothing left to stop."""
        if self.is_stopping():
            return False
        self.stop = reason
        self.stop_message = message
        self.grace_s = grace_s
        if self.scope is not None:
            self.scope.cancel()
        return True
