"""The device's end of a session over the network: dials, and dials again while the session can be resumed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext

import anyio

from .errors import Refused, RemoteProtocolError, TransportClosed
from .link import Link
from .messages import MAX_FRAME_BYTES, Hello
from .session_link import OnAcked, SessionLink
from .settings import CLOSE_GRACE_S, ReconnectPolicy
from .states import Role
from .tasks import background
from .transport import Connect, Transport


@asynccontextmanager
async def dial(
    url: str,
    hello: Callable[[], Hello],
    *,
    reconnect: ReconnectPolicy | None = None,
    on_acked: OnAcked | None = None,
    ssl: SSLContext | None = None,
) -> AsyncIterator[Link]:
    """Open a session with the orchestrator at a `ws://` or `wss://` URL; leaving the context says goodbye.

    A lost connection is mended in the background. The link closes, with the reason in `LinkClosed`, when the
    orchestrator no longer knows the session, refuses the device for good, or can't be reached for
    `reconnect.give_up_s`; the caller then dials anew.

    Args:
        url: Where the orchestrator listens, with the path `/aip`.
        hello: Makes the hello of each connection, so that it tells what is true at that moment.
        reconnect: How to mend a lost connection.
        on_acked: Is told which messages the orchestrator has acknowledged.
        ssl: TLS settings for `wss://`; the system's by default.

    Raises:
        Refused: the orchestrator refused the device on the first connection.
        TransportClosed: the first connection could not be made.
        RemoteProtocolError: what answered the first connection does not speak AIP.
    """
    from .websocket import connect_websocket

    async def connect() -> Transport:
        return await connect_websocket(url, max_frame_bytes=MAX_FRAME_BYTES, ssl=ssl)

    async with dial_over(connect, hello, reconnect=reconnect, on_acked=on_acked) as link:
        yield link


@asynccontextmanager
async def dial_over(
    connect: Connect,
    hello: Callable[[], Hello],
    *,
    reconnect: ReconnectPolicy | None = None,
    on_acked: OnAcked | None = None,
) -> AsyncIterator[Link]:
    """Do what `dial` does over connections of any kind."""
    link = SessionLink(Role.DEVICE, on_acked=on_acked)
    transport = await _open(link, connect, hello)
    finished = anyio.Event()

    async def keep() -> None:
        try:
            await _keep(link, transport, connect, hello, reconnect or ReconnectPolicy())
        finally:
            finished.set()

    async with background() as tasks:
        tasks.start_soon(keep)
        try:
            yield link
        finally:
            await link.aclose()
            # The last frame is out; the connection is given the time to be closed in good order.
            with anyio.move_on_after(CLOSE_GRACE_S, shield=True):
                await finished.wait()
            tasks.cancel_scope.cancel()


async def _open(link: SessionLink, connect: Connect, hello: Callable[[], Hello]) -> Transport:
    transport = await connect()
    try:
        await link.open(transport, hello())
    except BaseException:
        transport.abort()
        raise
    return transport


async def _keep(
    link: SessionLink, first: Transport, connect: Connect, hello: Callable[[], Hello], policy: ReconnectPolicy
) -> None:
    transport: Transport | None = first
    while transport is not None:
        await link.carry(transport)
        transport = None if link.ended else await _reconnect(link, connect, hello, policy)


async def _reconnect(
    link: SessionLink, connect: Connect, hello: Callable[[], Hello], policy: ReconnectPolicy
) -> Transport | None:
    """Mend the connection, or end the link and return None."""
    tries = 0
    why = "it was lost"
    with anyio.move_on_after(policy.give_up_s):
        while not link.ended:
            await link.wait_ended(policy.delay_s(tries, random.random()))
            tries += 1
            try:
                return None if link.ended else await _open(link, connect, hello)
            except TransportClosed as error:
                why = str(error)
            except Refused as error:
                why = str(error)
                if not error.retry:
                    link.end(why)
            except RemoteProtocolError as error:
                link.end(f"the orchestrator broke the protocol ({error})")
    if not link.ended:
        link.end(f"no connection for {policy.give_up_s:g} s: {why}")
    return None
