"""A server that says the very bytes that a test wants, over a real socket, and then ends the connection as it wants."""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from anyio.abc import ByteStream, SocketAttribute

HOST = "127.0.0.1"

End = Literal["close", "reset", "stay"]

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
UNTIL_CLOSED = EVENTS + b"connection: close\r\n\r\n"
"""The head of a stream that ends where the connection does, so that nothing tells a cut from the end."""


@dataclass(frozen=True)
class Said:
    """What the server says to one request.

    Attributes:
        pieces: Bytes, each of which is sent by itself.
        end: Whether it closes the connection then, resets it, or stays until the client leaves.
        unread: Whether it does not even read the request.
    """

    pieces: Sequence[bytes] = ()
    end: End = "close"
    unread: bool = False


class RawServer:
    """Listens on loopback, and says to each request what is next, on a connection of its own.

    Attributes:
        model: A model string for it.
        count: How many connections were made.
        bodies: What was asked, JSON.
        sent: Set when all was said that there is to say on a connection that the server stays on.
        gone: Set when a client has left such a connection.
    """

    def __init__(self, said: Iterable[Said]) -> None:
        self._said = deque(said)
        self.model = ""
        self.count = 0
        self.bodies: list[Any] = []
        self.sent = anyio.Event()
        self.gone = anyio.Event()

    def add(self, *said: Said) -> None:
        self._said += said

    def forget(self) -> None:
        """Say nothing of what was not asked for."""
        self._said.clear()

    @property
    def left(self) -> int:
        """How much was not asked for."""
        return len(self._said)

    async def serve(self, stream: ByteStream) -> None:
        self.count += 1
        said = self._said.popleft() if self._said else Said()  # who asks too often gets no answer
        raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if not said.unread:
                await self._read_request(stream)
            for piece in said.pieces:
                await stream.send(piece)
            if said.end == "stay":
                self.sent.set()
                await _until_gone(stream)
                self.gone.set()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self.gone.set()
        finally:
            if said.end == "reset":
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()

    async def _read_request(self, stream: ByteStream) -> None:
        head, body = b"", b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
        head, _, body = head.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0
        while len(body) < length:
            body += await stream.receive()
        self.bodies.append(json.loads(body) if body else None)


async def _until_gone(stream: ByteStream) -> None:
    while True:
        await stream.receive()


@asynccontextmanager
async def raw_server(*said: Said) -> AsyncIterator[RawServer]:
    """Serve while the block goes on."""
    server = RawServer(said)
    async with await anyio.create_tcp_listener(local_host=HOST) as listener, anyio.create_task_group() as group:
        port = listener.extra(SocketAttribute.local_port)
        server.model = f"compatible/m@http://{HOST}:{port}/v1"
        group.start_soon(listener.serve, server.serve)
        yield server
        group.cancel_scope.cancel()


def whole(body: bytes, *, status: str = "200 OK", headers: str = "content-type: application/json") -> Said:
    """An answer with its length."""
    head = f"HTTP/1.1 {status}\r\n{headers}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return Said([head.encode() + body])


def chunked(*parts: bytes) -> bytes:
    """Parts in HTTP's own chunks, without the last one, which says that it is the end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def event(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    """A chunk of an answer, as an event."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    said = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return b"data: " + json.dumps(said, ensure_ascii=False).encode() + b"\n\n"
