"""Server-sent events, bytes in and data out (WHATWG HTML, 9.2): as much of them as Chat Completions uses, the data.

The lines of httpx would not do: they end at every character that Unicode calls a line's end, such as U+2028, which may
stand in JSON.
"""

from __future__ import annotations

import re

MOST_BYTES = 16 * 2**20
"""The longest event that is taken: what is longer comes from a server that is not to be trusted."""

_END = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
_LONGEST_END = 4
_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"\r\n|\n|\r")


class EventTooLong(ValueError):
    """Raised when an event is longer than `MOST_BYTES`."""


class EventReader:
    """Takes bytes as they come, however they are cut, and gives the data of each event that is whole."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin at the start of a stream."""
        self._most = most_bytes
        self._kept = bytearray()
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take in bytes.

        Raises:
            EventTooLong: an event does not end.
        """
        if not self._begun and len(self._kept) + len(data) >= len(_BOM):
            self._begun = True
            data = (bytes(self._kept) + data).removeprefix(_BOM)
            self._kept.clear()
        if self._kept:
            begin = max(len(self._kept) - _LONGEST_END + 1, 0)
            self._kept += data
            # What was there before has no end in it: only what is new is looked through, however long an event gets.
            data = bytes(self._kept) if _END.search(self._kept, begin) else b""
        if data:
            *blocks, rest = _END.split(data)
            self._kept = bytearray(rest)
        else:
            blocks = []
        if len(self._kept) > self._most:
            raise EventTooLong(f"an event is longer than {self._most} bytes")
        return [found for block in blocks if (found := _data_of(block)) is not None]

    def end(self) -> list[bytes]:
        """The stream has ended: some servers leave out the last empty line."""
        block, self._kept = bytes(self._kept), bytearray()
        found = _data_of(block)
        return [] if found is None else [found]


def _data_of(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in _LINE.split(block) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
