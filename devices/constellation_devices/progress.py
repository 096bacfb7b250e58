"""Progress of one attempt on its way to the orchestrator: coalesced while the way is slow, and always bounded.

A tool may report faster than a link carries. What has not been sent yet is merged: lines into one text, shares
of work done into the latest one. Past the limits the oldest lines are dropped and counted, so that what a person
sees at last is the newest, with an honest gap.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from pydantic_core import from_json, to_json

from constellation_protocol.messages import Progress
from constellation_protocol.nesting import MAX_VALUE_NESTING, unreadable

from .failures import speakable

MAX_LINE_CHARS = 8 * 1024
MAX_WAITING_CHARS = 64 * 1024
MAX_WAITING_ITEMS = 256
MAX_DATA_BYTES = 64 * 1024


class ProgressBuffer:
    """Collects what an attempt reports until it is taken. Not thread-safe: one thread adds and takes."""

    __slots__ = ("_chars", "_dropped", "_fraction", "_items")

    def __init__(self) -> None:
        self._items: deque[tuple[str | None, Any]] = deque()
        self._chars = 0
        self._dropped = 0
        self._fraction: float | None = None

    def __bool__(self) -> bool:
        return bool(self._items) or self._fraction is not None or self._dropped > 0

    def add(self, text: str | None, fraction: float | None, data: Any) -> None:
        """Take in one report.

        Raises:
            PydanticSerializationError: `data` can't be told as JSON.
        """
        if fraction is not None:
            self._fraction = min(1.0, max(0.0, fraction))
        if text is not None:
            if len(text) > MAX_LINE_CHARS:
                text = f"{text[:MAX_LINE_CHARS]}… ({len(text) - MAX_LINE_CHARS} more characters)"
            text = speakable(text)
        if data is not None:
            encoded = to_json(data)
            if len(encoded) > MAX_DATA_BYTES:
                text = f"{text or ''}[partial output of {len(encoded)} bytes left out]"
                data = None
            elif unreadable(encoded.decode(), nesting=MAX_VALUE_NESTING) is not None:
                text = f"{text or ''}[partial output left out: it nests too deep, or has too long a number]"
                data = None
            else:
                data = from_json(encoded)
        if text is None and data is None:
            return
        self._items.append((text, data))
        self._chars += len(text or "")
        while len(self._items) > MAX_WAITING_ITEMS or self._chars > MAX_WAITING_CHARS:
            oldest, _ = self._items.popleft()
            self._chars -= len(oldest or "")
            self._dropped += 1

    def take(self, attempt: str, epoch: int) -> list[Progress]:
        """Empty the buffer into as few messages as keep text and partial output in their order."""
        messages: list[Progress] = []
        lines: list[str] = [f"[{self._dropped} earlier reports left out]"] if self._dropped else []
        for text, data in self._items:
            if text is not None:
                lines.append(text)
            if data is not None:
                messages.append(Progress(attempt=attempt, epoch=epoch, text="\n".join(lines) or None, data=data))
                lines = []
        if lines or self._fraction is not None:
            text = "\n".join(lines) if lines else None
            messages.append(Progress(attempt=attempt, epoch=epoch, text=text, fraction=self._fraction))
        self._items.clear()
        self._chars = self._dropped = 0
        self._fraction = None
        return messages
