"""A server behind a URL: streamable HTTP, with limits on what it answers, and errors that say whether it was asked.

A request that could not be sent, or whose answer broke off, becomes an error of that request alone; the SDK's transport
would end the whole session for it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from .settings import McpServer

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

NOT_ASKED = -32950
"""JSON-RPC's code, in the part that implementations may use, for a request that has not reached the server."""

ANSWER_LOST = -32951
"""The same for a request that may have reached it, and whose answer can't be had."""

_CONNECT_S = 10.0

_REFUSALS = {
    401: (NOT_ASKED, ": it wants a token, in a header"),
    403: (NOT_ASKED, ": what the headers hold does not let us in"),
    429: (NOT_ASKED, ""),
    500: (ANSWER_LOST, ""),
    502: (ANSWER_LOST, ""),
    503: (NOT_ASKED, ""),
    504: (ANSWER_LOST, ""),
}
"""What the statuses mean that come from whatever stands before a server, where the SDK says nothing of them."""


@asynccontextmanager
async def http_transport(server: McpServer) -> AsyncIterator[TransportStreams]:
    """Give the streams of messages from and to the server at a URL."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    limit = server.limits.message_bytes
    # A call ends by its own limit; a server may be silent for as long as one takes. Proxies of the environment would be
    # asked past our transport, so there are none.
    timeout = httpx2.Timeout(_CONNECT_S, read=None)
    headers = {"accept-encoding": "identity", **server.headers}  # what is packed would pass the limit unseen
    client = httpx2.AsyncClient(headers=headers, timeout=timeout, transport=_transport(limit), trust_env=False)
    async with client, streamable_http_client(server.url, http_client=client, max_sse_event_size=limit) as streams:
        yield streams


def _transport(limit: int) -> httpx2.AsyncBaseTransport:
    import httpx2

    class Guarded(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            try:
                response = await super().handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
                return _answer(503, NOT_ASKED, f"it can't be reached: {error or type(error).__name__}")
            except httpx2.TransportError as error:
                return _answer(502, ANSWER_LOST, f"the connection broke off: {error or type(error).__name__}")
            is_json = response.headers.get("content-type", "").startswith("application/json")
            if response.status_code in _REFUSALS and not is_json:
                await response.aclose()
                return _refusal(response)
            encoding = response.headers.get("content-encoding", "identity")
            if encoding != "identity":
                await response.aclose()
                return _answer(502, ANSWER_LOST, f"it packs its answers ({encoding[:20]!r}), though asked not to")
            stream: Any = response.stream
            is_events = response.headers.get("content-type", "").startswith("text/event-stream")
            response.stream = Limited(stream, None if is_events else limit)  # events have a limit each
            return response

    class Limited(httpx2.AsyncByteStream):
        def __init__(self, inner: httpx2.AsyncByteStream, limit: int | None) -> None:
            self._inner = inner
            self._left = limit

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._inner:
                    if self._left is not None:
                        self._left -= len(chunk)
                        if self._left < 0:
                            raise httpx2.StreamError(f"the answer takes more than {limit} bytes")
                    yield chunk
            except httpx2.TransportError as error:
                raise httpx2.StreamError(f"the connection broke off: {error or type(error).__name__}") from error

        async def aclose(self) -> None:
            await self._inner.aclose()

    return Guarded(limits=httpx2.Limits(max_connections=None))


def _refusal(response: httpx2.Response) -> httpx2.Response:
    code, hint = _REFUSALS[response.status_code]
    status = f"{response.status_code} {response.reason_phrase}".strip()
    return _answer(response.status_code, code, f"it answers {status}{hint}")


def _answer(status: int, code: int, message: str) -> httpx2.Response:
    import httpx2

    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    content = json.dumps(error).encode()
    return httpx2.Response(status, headers={"content-type": "application/json"}, content=content)
