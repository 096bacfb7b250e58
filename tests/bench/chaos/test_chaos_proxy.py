"""The proxy between devices and a hub: what it carries, and how connections through it come to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from constellation_bench.chaos.proxy import Manner, Proxy, open_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

WAIT_S = 20.0


class Hub:
    """What listens behind the proxy: it repeats what it is told, and keeps it."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.gone = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            try:
                async for data in stream:
                    self.heard += data
                    await stream.send(data)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return
            finally:
                self.gone.set()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, Hub]]:
    hub = Hub()
    async with open_proxy() as proxy, await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        proxy.hub_port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, hub.serve)
            with anyio.fail_after(WAIT_S):
                yield proxy, hub
            tasks.cancel_scope.cancel()


async def dial(proxy: Proxy) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", proxy.port)


async def test_bytes_go_both_ways_and_an_end_that_leaves_ends_the_other() -> None:
    async with proxied() as (proxy, hub):
        async with await dial(proxy) as device:
            await device.send(b"hello")
            assert await device.receive() == b"hello"
            assert [connection.whole for connection in proxy.connections] == [True]
        await hub.gone.wait()


async def test_a_device_is_hung_up_on_while_there_is_no_hub() -> None:
    async with proxied() as (proxy, hub):
        for port in (None, 1):  # none known; nothing listens there
            proxy.hub_port = port
            async with await dial(proxy) as device:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await device.receive()
        assert not hub.gone.is_set()


@pytest.mark.parametrize(
    ("manner", "error"), [(Manner.CLOSED, anyio.EndOfStream), (Manner.RESET, anyio.BrokenResourceError)]
)
async def test_a_connection_that_is_closed_or_reset_is_so_at_both_ends(manner: Manner, error: type[Exception]) -> None:
    async with proxied() as (proxy, hub), await dial(proxy) as device:
        await device.send(b"x")
        await device.receive()
        proxy.connections[0].cut(manner)
        with pytest.raises(error):
            await device.receive()
        await hub.gone.wait()


async def test_half_of_what_is_under_way_arrives_when_a_connection_is_torn() -> None:
    async with proxied() as (proxy, hub), await dial(proxy) as device:
        await device.send(b"before")
        await device.receive()
        proxy.connections[0].cut(Manner.TORN)
        await device.send(b"12345678")
        await hub.gone.wait()
        assert bytes(hub.heard) in (b"before1234", b"before")  # a reset may take what the hub has not read yet
        with pytest.raises(anyio.BrokenResourceError):
            await device.receive()


async def test_nothing_passes_a_silent_connection_until_an_end_leaves() -> None:
    async with proxied() as (proxy, hub):
        device = await dial(proxy)
        await device.send(b"before")
        await device.receive()
        (connection,) = proxy.connections
        connection.cut(Manner.SILENT)
        assert not connection.whole
        await device.send(b"after")
        await device.aclose()
        await hub.gone.wait()
        assert bytes(hub.heard) == b"before"
