"""One HTTP request to one server, over a connection to an address that has been checked.

The address that was checked is the one that is connected to: nothing resolves the name again in between. Each
redirect is a new target and is checked like the first one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

import anyio
import anyio.abc
import h11

from ..errors import ToolFailed
from .network import AllowList, Target, public_addresses

MAX_REDIRECTS = 5
MAX_HEAD_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRAVELLING_HEADERS = frozenset({"accept", "accept-language", "cache-control", "content-type", "range", "user-agent"})
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Response:
    """A server's answer; header names are in lower case, repeated ones joined by commas."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpClient:
    """What requests are bound by.

    Attributes:
        allowed: The hosts that may be reached.
        tls: Makes or returns the context that checks certificates.
        max_response_bytes: The longest body that is accepted.
    """

    allowed: AllowList
    tls: Callable[[], ssl.SSLContext]
    max_response_bytes: int

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Send a request, follow redirects, and return the answer, whatever its status.

        Raises:
            Confined: the host, or that of a redirect, may not be reached.
            ToolFailed: the request can't be sent, or the answer is not acceptable HTTP.
        """
        target = self.allowed.check(url)
        fields = _checked_headers(headers or {})
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._exchange(method, target, fields, body)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response
            onward = self.allowed.check(urljoin(target.url, location))
            if onward.origin != target.origin:
                # Any other header may carry a secret that is meant for the first server alone.
                fields = {name: value for name, value in fields.items() if name in _TRAVELLING_HEADERS}
            if response.status in (301, 302, 303) and method != "GET":
                method, body = "GET", b""
                fields = {name: value for name, value in fields.items() if name != "content-type"}
            target = onward
        raise ToolFailed(f"{url!r} redirects more than {MAX_REDIRECTS} times")

    async def _exchange(self, method: str, target: Target, fields: Mapping[str, str], body: bytes) -> Response:
        sent = {
            "user-agent": "constellation",
            "accept": "*/*",
            **fields,
            "host": target.authority,
            "accept-encoding": "identity",
            "connection": "close",
        }
        if body or method != "GET":
            sent["content-length"] = str(len(body))
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            request = h11.Request(method=method, target=target.path, headers=list(sent.items()))
            data = (connection.send(request) or b"") + (connection.send(h11.Data(data=body)) or b"")
            connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise ToolFailed(f"the request to {target.url!r} can't be sent: {error}") from error
        stream = await self._connect(target)
        try:
            await stream.send(data)
            return await self._receive(connection, stream, target)
        except h11.RemoteProtocolError as error:
            raise ToolFailed(f"the answer from {target.url!r} is not valid HTTP: {error}") from error
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise ToolFailed(f"the connection to {target.authority} broke: {error}") from error
        finally:
            await anyio.aclose_forcefully(stream)

    async def _connect(self, target: Target) -> anyio.abc.ByteStream:
        failure: Exception | None = None
        for address in await public_addresses(target):
            try:
                if target.scheme == "http":
                    return await anyio.connect_tcp(address, target.port)
                return await anyio.connect_tcp(
                    address, target.port, tls=True, ssl_context=self.tls(), tls_hostname=target.host
                )
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:  # a certificate, or the handshake
                failure = error
        raise ToolFailed(f"can't connect to {target.authority}: {failure}") from failure

    async def _receive(self, connection: h11.Connection, stream: anyio.abc.ByteStream, target: Target) -> Response:
        status, headers, body = 0, dict[str, str](), bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    connection.receive_data(await stream.receive(_READ_BYTES))
                except anyio.EndOfStream:
                    connection.receive_data(b"")
            elif isinstance(event, h11.Response):
                status = event.status_code
                for name, value in event.headers:
                    key, text = name.decode("ascii"), value.decode("latin-1")
                    headers[key] = f"{headers[key]}, {text}" if key in headers else text
                if headers.get("content-encoding", "identity") != "identity":
                    raise ToolFailed(f"{target.url!r} answers compressed although it was asked not to")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self.max_response_bytes:
                    raise ToolFailed(f"the answer from {target.url!r} is longer than {self.max_response_bytes} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return Response(target.url, status, headers, bytes(body))


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    fields = {name.lower(): value for name, value in headers.items()}
    refused = sorted(_OWN_HEADERS & fields.keys())
    if refused:
        raise ToolFailed(f"the header {refused[0]!r} is set by the client itself; leave it out")
    return fields
