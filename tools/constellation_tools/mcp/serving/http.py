"""Serving over streamable HTTP: on this machine to whoever may use it, beyond it with TLS to who shows the token.

A web page that somebody on this machine looks at is nobody who may: requests whose `Host` or `Origin` is not ours are
refused, whatever name was made to lead here.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ...errors import ToolsError
from ...runner import Policy, ToolRunner
from ...toolset import Toolset
from ..errors import require_sdk
from .limits import ServingLimits
from .server import make_server

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
"""Where the server is, on its host."""

MIN_TOKEN_CHARS = 16

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = ("0.0.0.0", "::")
_CLOSE_S = 2


class BadListening(ToolsError):
    """Raised when a server would be open to whom it must not be, or can't listen; the message says what to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a server listens, and who may ask it.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any that is free.
        token: What clients show as `Authorization: Bearer TOKEN`; empty for none, on this machine only.
        tls_cert: The certificate with its chain, PEM.
        tls_key: Its private key, PEM.
        host_names: What clients may call the host, besides its address.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    host_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what would be open to whom it must not be.

        Raises:
            BadListening: it would.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadListening("a certificate and its private key go together: give both")
        if self.token and (
            len(self.token) < MIN_TOKEN_CHARS or not self.token.isascii() or not self.token.isprintable()
        ):
            raise BadListening(f"the token has to be {MIN_TOKEN_CHARS} characters of printable ASCII at least")
        if self.is_loopback:
            return
        if not self.token or self.tls_cert is None:
            raise BadListening(
                f"{self.host} can be reached from other machines: that takes a token and TLS (a certificate and its "
                "key); or listen on 127.0.0.1"
            )
        if self.host in _ANY_ADDRESS and not self.host_names:
            raise BadListening(f"on {self.host} it has to be said by which names clients may call this host")

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beyond this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, port: int) -> str:
        """The URL, once the port is known."""
        host = self.host_names[0] if self.host_names else self.host
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{PATH}"

    def allowed(self) -> tuple[list[str], list[str]]:
        """The values of `Host` and of `Origin` that are ours, as the SDK writes them."""
        own = () if self.host in _ANY_ADDRESS else (f"[{self.host}]" if ":" in self.host else self.host,)
        names = dict.fromkeys([*own, *self.host_names, *(_LOOPBACK_NAMES if self.is_loopback else ())])
        scheme = "http" if self.tls_cert is None else "https"
        hosts = [value for name in names for value in (name, f"{name}:*")]
        return hosts, [f"{scheme}://{host}" for host in hosts]


async def serve_http(
    toolset: Toolset,
    listening: Listening,
    *,
    name: str = "constellation",
    instructions: str = "",
    policy: Policy | None = None,
    limits: ServingLimits | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a toolset until this is cancelled.

    Args:
        toolset: What is served.
        listening: Where, and to whom.
        name: What the server calls itself.
        instructions: What it tells a client's model about its use.
        policy: What may be called; what it asks for, or a tool itself does, is put to the person at the client.
        limits: How much clients may ask for.
        ready: Told the URL, once it can be asked.

    Raises:
        BadListening: the address can't be listened on, or the certificate can't be used.
    """
    require_sdk()
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings

    limits = limits or ServingLimits()
    hosts, origins = listening.allowed()
    security = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
    served = make_server(toolset, name=name, instructions=instructions, policy=policy, limits=limits)
    with _bound(listening) as bound:
        async with served as (server, runner):
            app: ASGIApp = server.streamable_http_app(
                streamable_http_path=PATH,
                transport_security=security,
                max_request_body_size=limits.request_bytes,
                max_sessions=limits.sessions,
            )
            config = uvicorn.Config(
                _WithToken(app, listening.token) if listening.token else app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                ws="none",
                timeout_graceful_shutdown=_CLOSE_S,
                ssl_certfile=listening.tls_cert,
                ssl_keyfile=listening.tls_key,
            )
            try:
                config.load()
            except (OSError, ValueError) as error:
                raise BadListening(f"the certificate can't be used: {error}") from error
            port = int(bound.getsockname()[1])
            await _run(_listener(config, lambda: ready(listening.url(port))), bound, runner)


@contextmanager
def _bound(listening: Listening) -> Iterator[socket.socket]:
    host = "127.0.0.1" if listening.host == "localhost" else listening.host
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, listening.port), family=family)
    except OSError as error:
        raise BadListening(
            f"{listening.host}:{listening.port} can't be listened on: {error.strerror or error}"
        ) from error
    with bound:
        yield bound


def _listener(config: Any, ready: Callable[[], None]) -> Any:
    import contextlib

    import uvicorn

    class Listener(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are for whoever runs the event loop

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    return Listener(config)


async def _run(listener: Any, bound: socket.socket, runner: ToolRunner) -> None:
    """Run until cancelled; then take nothing more, and end what is under way, whose clients are told."""
    ended = anyio.Event()

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                await listener.serve(sockets=[bound])
            finally:
                ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            await ended.wait()
        finally:
            runner.cancel(reason="the server stops")
            # Streams that clients keep open are cut off, which is no error to be told of.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            listener.should_exit = True


class _WithToken:
    """Lets requests through that show the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse

        if scope["type"] == "http":
            shown = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
            if not hmac.compare_digest(shown, self._expected):
                refusal = PlainTextResponse("the token is missing or wrong", 401, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
