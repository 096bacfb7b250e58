"""What a served tool reports, on its way to the client: from any thread, bounded, in numbers that only grow."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
from pydantic_core import to_json

Send = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends how much is done, of how much in all, and a line of text."""

MAX_WAITING = 64
MESSAGE_CHARS = 2_000

_STEP = 1e-6


class ProgressCounter:
    """Turns reports into numbers that only grow. Does no I/O.

    A tool that begins with a share of its work is told of in shares; one that begins with text by counting its lines.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._counts: bool | None = None

    def next(self, text: str | None, fraction: float | None, data: Any) -> tuple[float, float | None, str | None]:
        """Return how much is done, of how much in all, and what is said."""
        if text is None and data is not None:
            text = to_json(data).decode()
        if self._counts is None:
            self._counts = fraction is None
        if self._counts:
            self._last += 1
            share = None if fraction is None else f"{fraction:.0%}"
            text = " ".join(part for part in (share, text) if part is not None)
            return self._last, None, text[:MESSAGE_CHARS]
        self._last = max(self._last + _STEP, fraction or 0.0)
        return self._last, max(1.0, self._last), None if text is None else text[:MESSAGE_CHARS]


class ProgressRelay:
    """Takes reports from a tool and sends them one after another; the oldest are dropped where that is too slow."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._counter = ProgressCounter()
        self._waiting: deque[tuple[str | None, float | None, Any]] = deque(maxlen=MAX_WAITING)
        self._came = anyio.Event()
        self._closed = False
        self._thread = threading.get_ident()
        self._token = anyio.lowlevel.current_token()

    def report(self, text: str | None, fraction: float | None, data: Any) -> None:
        """Take one report; may be called from any thread."""
        if threading.get_ident() == self._thread:
            self._take(text, fraction, data)
            return
        try:
            anyio.from_thread.run_sync(self._take, text, fraction, data, token=self._token)
        except anyio.RunFinishedError:
            return  # a thread that was left behind outlives the server

    def _take(self, text: str | None, fraction: float | None, data: Any) -> None:
        self._waiting.append((text, fraction, data))
        self._came.set()

    async def run(self) -> None:
        """Send what comes, until this is closed and all is sent."""
        while True:
            while self._waiting:
                await self._send(*self._counter.next(*self._waiting.popleft()))
            if self._closed:
                return
            await self._came.wait()
            self._came = anyio.Event()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._came.set()
