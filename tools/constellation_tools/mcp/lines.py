"""Messages, one on a line, out of the bytes that a peer writes; no line may be endless, nor a run of nonsense."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .errors import McpMisbehaved

MAX_STRAY_LINES = 1_000
"""How many lines in a row may be no messages: programs print greetings, but none prints for ever."""


class LineReader:
    """Splits bytes into lines. Does no I/O."""

    def __init__(self, max_bytes: int) -> None:
        """Start with nothing.

        Args:
            max_bytes: The longest line that is taken.
        """
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._stray = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes in and give the lines that they complete, empty ones left out.

        Raises:
            McpMisbehaved: a line is too long.
        """
        self._buffer += data
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._searched))) >= 0:
            line = bytes(self._buffer[start:end]).strip()
            self._refuse_longer(len(line))
            start = end + 1
            if line:
                yield line
        del self._buffer[:start]
        self._searched = len(self._buffer)
        self._refuse_longer(len(self._buffer))

    def understood(self) -> None:
        """A line was a message."""
        self._stray = 0

    def stray(self) -> int:
        """A line was none; returns how many there were in a row.

        Raises:
            McpMisbehaved: there were too many.
        """
        self._stray += 1
        if self._stray > MAX_STRAY_LINES:
            raise McpMisbehaved(f"it wrote {MAX_STRAY_LINES} lines in a row that are no messages")
        return self._stray

    def _refuse_longer(self, size: int) -> None:
        if size > self._max_bytes:
            raise McpMisbehaved(f"it sent a message of more than {self._max_bytes} bytes")


_ID = re.compile(r'"id"\s*:\s*(?:(?P<number>[0-9]{1,15})|"(?P<text>[^"\\]{1,200})")\s*[,}]')


def answered(line: bytes) -> int | str | None:
    """The number of the request that a line seems to answer, although it is no message; None where it seems none."""
    text = line.decode("utf-8", "replace").lstrip("\ufeff")
    if not text.startswith("{") or '"jsonrpc"' not in text:
        return None
    try:
        found = json.loads(text, parse_int=str)
    except (ValueError, RecursionError):
        head = _ID.search(text)  # nearly all write it first
        if head is None:
            return None
        return int(head["number"]) if head["number"] else head["text"]
    if "method" in found:
        return None
    id = found.get("id")
    if not isinstance(id, str):
        return None
    return int(id) if id.isdecimal() and len(id) < 16 else id
