"""The link within one process keeps the promises of any link."""

from __future__ import annotations

import anyio
import pytest

from constellation_protocol import Hello, LinkClosed, Message, Progress, Welcome, direct_link

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def progress(number: int) -> Progress:
    return Progress(attempt="a", epoch=3, data=number)


async def test_messages_pass_as_the_objects_they_are(hello: Hello, welcome: Welcome) -> None:
    orchestrator, device = direct_link(hello, welcome)
    message = progress(1)

    await device.send(message)
    (received,) = await orchestrator.receive()

    assert received is message
    assert orchestrator.welcome is device.welcome is welcome
    assert device.hello.token is None
    assert device.connected


async def test_everything_that_came_is_received_at_once(hello: Hello, welcome: Welcome) -> None:
    orchestrator, device = direct_link(hello, welcome)
    await device.send(progress(1), progress(2))
    await device.send(progress(3))

    assert await orchestrator.receive() == [progress(1), progress(2), progress(3)]


async def test_asking_for_more_acknowledges_what_was_received(hello: Hello, welcome: Welcome) -> None:
    acked: list[Message] = []
    orchestrator, device = direct_link(hello, welcome, on_acked=acked.extend)
    await device.send(progress(1))
    await orchestrator.receive()
    assert acked == []

    await device.send(progress(2))
    await orchestrator.receive()

    assert acked == [progress(1)]


async def test_the_last_messages_are_acknowledged_even_when_the_link_has_closed(hello: Hello, welcome: Welcome) -> None:
    acked: list[Message] = []
    orchestrator, device = direct_link(hello, welcome, on_acked=acked.extend)
    await device.send(progress(1))
    await device.aclose()
    await orchestrator.receive()

    with pytest.raises(LinkClosed):
        await orchestrator.receive()

    assert acked == [progress(1)]


async def test_a_receiver_is_woken(hello: Hello, welcome: Welcome) -> None:
    orchestrator, device = direct_link(hello, welcome)
    received: list[Message] = []

    async def receive() -> None:
        received.extend(await device.receive())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            await orchestrator.send(progress(1))

    assert received == [progress(1)]


async def test_a_sender_waits_until_there_is_credit(hello: Hello) -> None:
    orchestrator, device = direct_link(hello, Welcome(session="s", epoch=1, credits=2))
    with anyio.move_on_after(0.01) as held:
        await device.send(progress(1), progress(2), progress(3))
    assert held.cancelled_caught

    assert len(await orchestrator.receive()) == 2
    with anyio.move_on_after(0.01) as held:
        await device.send(progress(4))
    assert held.cancelled_caught, "what was received but not yet settled still takes up credit"

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(device.send, progress(5))
            assert await orchestrator.receive() == [progress(5)]


async def test_closing_lets_the_peer_receive_what_came_before(hello: Hello, welcome: Welcome) -> None:
    orchestrator, device = direct_link(hello, welcome)
    await device.send(progress(1))
    await device.aclose("done")
    await device.aclose("again")

    assert await orchestrator.receive() == [progress(1)]
    with pytest.raises(LinkClosed, match="the peer said goodbye: done"):
        await orchestrator.receive()
    with pytest.raises(LinkClosed, match="done"):
        await device.receive()
    with pytest.raises(LinkClosed):
        await device.send(progress(2))
    with pytest.raises(LinkClosed):
        await orchestrator.send(progress(2))
    assert not orchestrator.connected


async def test_closing_wakes_everybody_who_waits(hello: Hello) -> None:
    orchestrator, device = direct_link(hello, Welcome(session="s", epoch=1, credits=1))

    async def expect_end(link: object, *messages: Message) -> None:
        with pytest.raises(LinkClosed):
            await (device.send(*messages) if messages else device.receive())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_end, device)
            tasks.start_soon(expect_end, device, progress(1), progress(2))
            await anyio.wait_all_tasks_blocked()
            await orchestrator.aclose()
