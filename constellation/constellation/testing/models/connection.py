"""One HTTP/1.1 connection of the server of models: reads requests with h11, writes answers, notices who leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import anyio
import h11
from anyio.abc import ByteStream

from .answers import SeenRequest

READ_BYTES = 65_536
MOST_BODY_BYTES = 64 * 2**20


class ClientLeft(Exception):
    """Raised when the client has closed the connection in the middle of an answer."""


class Connection:
    """A client's connection, for one request after the other."""

    def __init__(self, stream: ByteStream) -> None:
        """Serve what comes over a stream."""
        self._stream = stream
        self._http = h11.Connection(h11.SERVER)

    async def requests(self) -> AsyncGenerator[SeenRequest, None]:
        """The requests, as they come. One is to be answered before the next is asked for.

        Raises:
            h11.RemoteProtocolError: what comes is no HTTP.
        """
        while True:
            event = await self._event()
            if not isinstance(event, h11.Request):
                return
            body = bytearray()
            while not isinstance(part := await self._event(), h11.EndOfMessage):
                if not isinstance(part, h11.Data):
                    return
                body += part.data
                if len(body) > MOST_BODY_BYTES:
                    raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            parsed = json.loads(body) if body else {}
            yield SeenRequest(event.method.decode(), event.target.decode().partition("?")[0], headers, parsed)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event) or event is h11.PAUSED:
                return event
            self._http.receive_data(await self._received())

    async def _received(self) -> bytes:
        try:
            return await self._stream.receive(READ_BYTES)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return b""

    async def whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an answer as a whole."""
        head = h11.Response(status_code=status, headers=_pairs({**headers, "content-length": str(len(body))}))
        sent = [head, h11.Data(data=body), h11.EndOfMessage()]
        await self._send(b"".join(self._http.send(event) or b"" for event in sent))

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin an answer of events."""
        head = h11.Response(status_code=200, headers=_pairs({**headers, "content-type": "text/event-stream"}))
        await self._send(self._http.send(head) or b"")

    async def event(self, data: str) -> None:
        """Send an event."""
        await self._send(self._http.send(h11.Data(data=f"data: {data}\n\n".encode())) or b"")

    async def end(self) -> None:
        """End an answer of events."""
        await self._send(self._http.send(h11.EndOfMessage()) or b"")

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ClientLeft from None

    async def while_there(self, work: Callable[[], Awaitable[bool]]) -> bool:
        """Do some work and return what it does, or cancel it when the client closes its side meanwhile.

        Raises:
            ClientLeft: it did.
        """
        left, done = False, False
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                nonlocal left
                data = await self._received()
                if data:  # the next request, sent early; h11 keeps it
                    self._http.receive_data(data)
                    return
                left = True
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                done = await work()
            except ClientLeft:
                left = True
            group.cancel_scope.cancel()
        if left:
            raise ClientLeft
        return done


def _pairs(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in headers.items()]
