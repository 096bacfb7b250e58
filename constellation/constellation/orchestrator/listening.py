"""Opening a hub's socket, and refusing to open it to the world without protection."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext

from constellation_protocol.listener import PathHandler, listen
from constellation_protocol.messages import Hello
from constellation_protocol.settings import SessionSettings

from .hub import Hub


def check_exposure(host: str, ssl: SSLContext | None) -> None:
    """Refuse to listen beyond loopback without TLS: tokens and work would travel in the clear; raises ValueError."""
    if ssl is None and not _is_loopback(host):
        raise ValueError(
            f"listening on {host} would send tokens and work unencrypted over the network; "
            "give a TLS certificate and key, or listen on 127.0.0.1 and tunnel"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def listening(
    hub: Hub,
    host: str,
    port: int,
    *,
    settings: SessionSettings,
    admit: Callable[[Hello], Awaitable[int]] | None = None,
    ssl: SSLContext | None = None,
    paths: Mapping[str, PathHandler] | None = None,
) -> AsyncIterator[None]:
    """Let devices dial a hub for as long as the context lasts; raises OSError when the address can't be had.

    `admit` gives a new session its epoch, or raises `Refused`; that of the hub when None.
    """
    async with listen(
        host,
        port,
        authenticate=hub.authenticate,
        admit=admit if admit is not None else hub.admit,
        serve=hub.serve,
        settings=settings,
        ssl=ssl,
        paths=paths,
    ) as listener:
        hub.url = listener.url
        try:
            yield
        finally:
            hub.url = ""
