"""The proxy of tests on real sockets: what passes, where it cuts, and what it alters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from constellation.testing.proxy import Proxy, proxy

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


async def echo(stream: SocketStream) -> None:
    async with stream:
        try:
            async for data in stream:
                await stream.send(data)
        except anyio.BrokenResourceError:
            pass


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    with anyio.fail_after(10):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as server,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(server.serve, echo)
            async with proxy(server.extra(SocketAttribute.local_port)) as wire:
                yield wire
            tasks.cancel_scope.cancel()


async def said_back(stream: SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive()
    return data


async def lost(stream: SocketStream) -> bytes:
    """What still comes before the connection is gone."""
    data = b""
    try:
        while True:
            data += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return data


async def test_what_passes_arrives_and_is_counted() -> None:
    async with echoing() as wire, await anyio.connect_tcp("127.0.0.1", wire.port) as stream:
        await stream.send(b"hello")
        assert await said_back(stream, 5) == b"hello"
        assert wire.passed == {"up": 5, "down": 5}
        assert wire.connections == 1
        await stream.send_eof()
        assert await lost(stream) == b""
        await wire.until(lambda: wire.connections == 0)
        assert wire.cuts == 0


async def test_a_cut_drops_every_connection_and_the_next_one_gets_through() -> None:
    async with echoing() as wire:
        for _ in range(2):
            first = await anyio.connect_tcp("127.0.0.1", wire.port)
            second = await anyio.connect_tcp("127.0.0.1", wire.port)
            async with first, second:
                await wire.until(lambda: wire.connections == 2)
                assert wire.cut() == 2
                assert (await lost(first), await lost(second)) == (b"", b"")
                await wire.until(lambda: wire.connections == 0)
        assert wire.cuts == 4
        assert wire.cut() == 0


async def test_a_cut_can_be_put_at_any_byte() -> None:
    async with echoing() as wire, await anyio.connect_tcp("127.0.0.1", wire.port) as stream:
        wire.cut_after(8)
        await stream.send(b"12345")
        assert await said_back(stream, 3) == b"123"
        assert wire.armed is False
        assert await lost(stream) == b""
        assert wire.cuts == 1


async def test_what_passes_can_be_altered_on_its_way() -> None:
    async with echoing() as wire, await anyio.connect_tcp("127.0.0.1", wire.port) as stream:
        wire.alter = lambda way, data: data.upper() if way == "up" else data + b"!"
        await stream.send(b"hello")
        assert await said_back(stream, 6) == b"HELLO!"


async def test_where_there_is_no_server_connections_are_dropped() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as server:
        free = server.extra(SocketAttribute.local_port)
    async with proxy(free) as wire, await anyio.connect_tcp("127.0.0.1", wire.port) as stream:
        with anyio.fail_after(10):
            assert await lost(stream) == b""
