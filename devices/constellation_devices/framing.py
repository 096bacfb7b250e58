"""What a device and its worker processes say to each other: length-prefixed JSON objects, and marked output.

Requests go down the worker's standard input and replies come up its standard output, each as four bytes of
length, most significant first, and then a JSON object. All that the tool prints, itself or through programs that
it starts, comes up standard error, with marks between it that say which call it belongs to; the marks hold a
random token, so that nothing printed by chance is taken for one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from pydantic_core import from_json, to_json

MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 8 * 1024

HEADER = struct.Struct(">I")

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """The point in a worker's output where a call begins or ends."""

    what: Literal["begin", "end"]
    call: int


def encode_frame(frame: Frame) -> bytes:
    """Encode one frame.

    Raises:
        ValueError: it is over `MAX_FRAME_BYTES`, or not JSON-able.
    """
    body = to_json(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"{len(body)} bytes are over the limit of {MAX_FRAME_BYTES} bytes for one call")
    return HEADER.pack(len(body)) + body


def decode_body(body: bytes) -> Frame:
    """Decode what follows a frame's length."""
    frame: Frame = from_json(body)
    return frame


def read_frame(file: BinaryIO) -> Frame | None:
    """Read one frame from a blocking file; None at its end, even within a frame."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    body = file.read(length)
    return decode_body(body) if len(body) == length else None


def encode_mark(token: str, mark: Mark) -> bytes:
    """Encode a mark for the output stream."""
    return f"\0{token} {mark.what} {mark.call}\0".encode()


class OutputSplitter:
    """Splits a worker's output into lines and marks, as it comes in pieces of any size."""

    def __init__(self, token: str) -> None:
        self._prefix = f"\0{token} ".encode()
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[str | Mark]:
        """Take in a piece and yield what is complete by now; a line longer than the limit comes in parts."""
        self._buffer += data
        while True:
            start = self._buffer.find(self._prefix)
            text = self._buffer if start < 0 else self._buffer[:start]
            *lines, rest = text.split(b"\n")
            for line in lines:
                yield from _parts(line)
            if start < 0:
                self._buffer = rest
                if len(rest) > 2 * MAX_LINE_BYTES:  # room for a mark that has only half come
                    self._buffer = rest[MAX_LINE_BYTES:]
                    yield _decode(rest[:MAX_LINE_BYTES])
                return
            if rest:
                yield from _parts(rest)
            end = self._buffer.find(b"\0", start + len(self._prefix))
            if end < 0:
                self._buffer = self._buffer[start:]
                return
            what, _, call = self._buffer[start + len(self._prefix) : end].decode().partition(" ")
            self._buffer = self._buffer[end + 1 :]
            yield Mark("begin" if what == "begin" else "end", int(call))


def _parts(line: bytes) -> Iterator[str]:
    for start in range(0, max(len(line), 1), MAX_LINE_BYTES):
        yield _decode(line[start : start + MAX_LINE_BYTES])


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
