"""Opening a hub's socket, and refusing to open it to the world without protection."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import TYPE_CHECKING

from constellation_protocol.listener import PathHandler, listen
from constellation_protocol.messages import Hello
from constellation_protocol.settings import SessionSettings
from constellation_protocol.tasks import background

from .credentials import Grant
from .hub import Hub
from .limits import HubLimits

if TYPE_CHECKING:
    from .orchestrator import Orchestrator

Admit = Callable[[Hello, Grant], Awaitable[int]]
"""Gives a new session its epoch, or raises `Refused`."""


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
    admit: Admit | None = None,
    ssl: SSLContext | None = None,
    paths: Mapping[str, PathHandler] | None = None,
) -> AsyncIterator[None]:
    """Let devices dial a hub for as long as the context lasts; raises OSError when the address can't be had.

    Sessions are admitted by the hub, or else by `admit`.
    """
    async with listen(
        host,
        port,
        authenticate=hub.authenticate,
        admit=admit if admit is not None else hub.admit,
        serve=hub.serve,
        settings=settings,
        ssl=ssl,
        connections=hub.limits.of_connections(),
        paths=paths,
    ) as listener:
        hub.url = listener.url
        try:
            yield
        finally:
            hub.url = ""


@asynccontextmanager
async def listening_to_all(
    orchestrator: Orchestrator,
    hub: Hub,
    host: str,
    port: int,
    *,
    ssl: SSLContext | None,
    limits: HubLimits | None,
    admit: Admit,
) -> AsyncIterator[None]:
    """Let devices and clients dial, and send those away again whose tokens are revoked or expire; raises OSError."""
    from .control import CONTROL_PATH, ControlServer

    if limits is not None:
        hub.limit(limits)
    settings = hub.limits.of_sessions()
    control = ControlServer(orchestrator, max_frame_bytes=settings.limits.max_frame_bytes, limits=hub.limits)
    async with background() as tasks:
        paths = {CONTROL_PATH: control.handle}
        async with listening(hub, host, port, ssl=ssl, settings=settings, paths=paths, admit=admit):
            tasks.start_soon(hub.door.watch, hub.recheck, control.recheck)
            yield
        tasks.cancel_scope.cancel()
