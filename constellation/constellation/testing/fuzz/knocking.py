"""Whoever knocks at a hub's door: a TCP connection that can say what no library of WebSockets would say."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .breach import Breach

PATIENCE_S = 15.0
"""How long the hub may take to answer, longer than it gives a peer for its opening."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_MASK = b"\x5a\x00\xff\x21"


@dataclass(slots=True)
class Answers:
    """What the hub has said on one connection.

    Attributes:
        head: The head of its HTTP answer; empty when there was none.
        texts: The text frames.
        close_code: The code of its closing frame, if any.
    """

    head: bytes = b""
    texts: list[str] = field(default_factory=list)
    close_code: int | None = None


class Knocking:
    """One connection to a hub on loopback."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._came = b""
        self.gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; what the hub does not want any more is lost."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.gone = True
        except TimeoutError:
            raise Breach(f"the hub has not read for {PATIENCE_S:g} s") from None

    def upgrade(self, path: str) -> None:
        """Ask for a WebSocket, in good order."""
        self.send(upgrade_request(path))

    def frame(self, opcode: int, payload: bytes, *, masked: bool = True, final: bool = True) -> None:
        """Send a frame of the WebSocket protocol."""
        self.send(websocket_frame(opcode, payload, masked=masked, final=final))

    def finish(self) -> None:
        """Say that nothing more comes."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.gone = True

    def answers(self, *, until_texts: int | None = None) -> Answers:
        """Read until the hub closes the connection or is about to, or has sent so many text frames.

        Raises:
            Breach: it does not within `PATIENCE_S`.
        """
        while True:
            found = _read(self._came)
            if found.close_code is not None or (until_texts is not None and len(found.texts) >= until_texts):
                return found
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            except TimeoutError:
                raise Breach(f"the hub neither answers nor closes within {PATIENCE_S:g} s") from None
            if not data:
                return found
            self._came += data


def upgrade_request(path: str) -> bytes:
    """An HTTP request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def websocket_frame(opcode: int, payload: bytes, *, masked: bool = True, final: bool = True) -> bytes:
    """A frame as a client sends it (RFC 6455, section 5.2)."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", (0x80 if final else 0) | opcode, bit | size)
    elif size < 65536:
        head = struct.pack(">BBH", (0x80 if final else 0) | opcode, bit | 126, size)
    else:
        head = struct.pack(">BBQ", (0x80 if final else 0) | opcode, bit | 127, size)
    if not masked:
        return head + payload
    mask = int.from_bytes((_MASK * (size // 4 + 1))[:size], "big")
    return head + _MASK + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


def _read(data: bytes) -> Answers:
    head, end, rest = data.partition(b"\r\n\r\n")
    found = Answers(head if end else b"")
    while len(rest) >= 2:
        opcode, size, start = rest[0] & 15, rest[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(rest[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(rest[2:10], "big"), 10
        if len(rest) < start + size:
            break
        payload, rest = rest[start : start + size], rest[start + size :]
        if opcode == TEXT:
            found.texts.append(payload.decode())
        elif opcode == CLOSE and size >= 2:
            found.close_code = int.from_bytes(payload[:2], "big")
    return found
