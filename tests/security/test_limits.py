"""What a hub takes from outside is bounded, and whoever asks for more is told so, slowed down, or cut."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from constellation import HubLimits, Orchestrator
from constellation.orchestrator import control
from constellation.orchestrator.errors import HubRefused, HubUnreachable
from constellation.orchestrator.events import StarProgress
from constellation_protocol import Accept, ArtifactInfo, Limits, Progress, Refused, Result, accept, websocket
from constellation_protocol.codec import encode_text
from constellation_protocol.connections import REFUSED_AT_ONCE, Connections
from constellation_protocol.handshake import MAX_HELLO_BYTES
from constellation_protocol.messages import ErrorInfo
from constellation_protocol.nesting import MAX_VALUE_NESTING
from constellation_protocol.rate import Bucket
from constellation_protocol.settings import ConnectionLimits

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

PATIENCE_S = 30.0

Hub = Callable[..., AbstractAsyncContextManager[Any]]


async def test_connections_from_one_address_are_limited_and_room_comes_back(hub: Hub) -> None:
    async with hub(limits=HubLimits(connections_per_address=2)) as played:
        async with connect(played.url), connect(played.url):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(played.url)
            answer = refusal.value.response
            assert answer.status_code == 503
            assert answer.body == b"there are 2 connections from this address already: try again later\n"
        async with played.device("rack"):
            pass


async def test_connections_in_all_are_limited(hub: Hub) -> None:
    async with hub(limits=HubLimits(connections=1)) as played, played.device("rack"):
        with pytest.raises(HubUnreachable, match="503"):
            async with Orchestrator.connect(played.url, played.orchestrator.token):
                pass


async def test_a_flood_of_silent_connections_is_cut_and_nobody_who_is_in_notices(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "HANDSHAKE_TIMEOUT_S", 10 * PATIENCE_S)  # which would cut them too, some time later
    async with hub(limits=HubLimits(connections=1)) as played, played.device("rack") as rack:
        host, _, port = played.url.removeprefix("ws://").partition("/")[0].partition(":")
        with ExitStack() as stack:
            for _ in range(REFUSED_AT_ONCE):
                stack.enter_context(socket.create_connection((host, int(port))))
            async with await anyio.connect_tcp(host, int(port)) as one_more:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await one_more.receive()
            run = await played.submit("work")
            await rack.answer((await rack.assigned()).attempt, "done")
            assert await run.result() == {"s0": "done"}


def test_addresses_of_one_network_of_ipv6_count_together_and_a_mapped_one_as_what_it_stands_for() -> None:
    open_now = Connections(ConnectionLimits(total=10, per_address=1))
    for address in ("2001:db8::1", "10.0.0.1", "10.0.0.2", ""):
        open_now.opened(address)
        assert open_now.objection(address) is None
    for address in ("2001:db8::2", "::ffff:10.0.0.1", "10.0.0.2"):
        open_now.opened(address)
        assert open_now.objection(address) == "there are 1 connections from this address already"
        open_now.closed(address)
    assert not open_now.flooded


async def test_who_says_no_hello_is_cut(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "HANDSHAKE_TIMEOUT_S", 0.05)
    async with hub() as played, connect(played.url) as silent:
        await silent.wait_closed()


async def test_there_is_room_for_so_many_devices_and_the_next_is_told_to_try_again(hub: Hub) -> None:
    async with hub(limits=HubLimits(devices=1)) as played, played.device("rack"):
        with pytest.raises(Refused, match="this hub has 1 devices already") as refusal:
            async with played.device("desk"):
                pass
        assert refusal.value.retry


async def test_there_is_room_for_so_many_clients(hub: Hub) -> None:
    async with hub(limits=HubLimits(clients=1)) as played:
        token = played.orchestrator.token
        async with Orchestrator.connect(played.url, token):
            with pytest.raises(HubUnreachable, match="this hub has 1 clients already"):
                async with Orchestrator.connect(played.url, token):
                    pass


async def test_connections_that_say_nothing_keep_neither_devices_nor_clients_out(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "HANDSHAKE_TIMEOUT_S", 10 * PATIENCE_S)
    monkeypatch.setattr(control, "HANDSHAKE_TIMEOUT_S", 10 * PATIENCE_S)
    async with hub(limits=HubLimits(clients=1)) as played, AsyncExitStack() as stack:
        control_url = played.url.replace("/aip", "/control")
        silent = [await stack.enter_async_context(connect(control_url)) for _ in range(1)]
        for _ in range(accept.MAX_HANDSHAKES):
            silent.append(await stack.enter_async_context(connect(played.url)))
        async with played.device("rack"), Orchestrator.connect(played.url, played.orchestrator.token) as client:
            assert [device.name for device in await client.devices()] == ["rack"]
            for cut in silent[:2]:
                await cut.wait_closed()


async def test_the_first_message_of_a_client_is_not_looked_at_when_it_is_long(hub: Hub) -> None:
    async with hub() as played, connect(played.url.removesuffix("/aip") + "/control", compression=None) as socket:
        await socket.send(json.dumps({"kind": "open", "version": 1, "token": "x" * 20_000}))
        assert "the first message is longer than 16384 characters" in str(await socket.recv())


async def test_a_client_has_so_many_requests_under_way(hub: Hub) -> None:
    async with hub(limits=HubLimits(requests=1)) as played:
        async with Orchestrator.connect(played.url, played.orchestrator.token) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.wait_for_devices, 9)
                while not client._waiting:
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(HubRefused, match="more than 1 requests are under way"):
                    await client.devices()
                tasks.cancel_scope.cancel()


async def test_a_device_that_floods_the_hub_is_slowed_down_and_others_are_not(hub: Hub) -> None:
    async with hub(limits=HubLimits(messages_per_s=100.0)) as played:
        async with played.device("loud") as loud, played.device("calm") as calm:

            async def shout() -> None:
                while True:
                    await loud.link.send(Progress(attempt="x", epoch=1, text="!"))

            begin = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shout)
                for _ in range(20):
                    run = await played.submit("work", device="calm")
                    await calm.answer((await calm.assigned()).attempt, "done")
                    assert await run.result() == {"s0": "done"}
                tasks.cancel_scope.cancel()
            took_s = anyio.current_time() - begin
            inbox = played.orchestrator._book.hub.devices["loud"].link._session._inbox
            frames = 2 * 1024  # what one frame and the one before it may hold
            assert inbox._arrived <= 100 * (took_s + 1) + frames


def test_what_is_sent_too_fast_is_owed_and_paid_off_with_time() -> None:
    bucket = Bucket(10.0)
    bucket.take(10, now=0.0)
    assert bucket.owed_s == 0.0
    bucket.take(5, now=0.0)
    assert bucket.owed_s == pytest.approx(0.5)
    bucket.take(1, now=0.5)
    assert bucket.owed_s == pytest.approx(0.1)
    bucket.take(10, now=100.0)
    assert bucket.owed_s == 0.0, "what was not used for long is no more than one second's worth"
    bucket.take(1, now=100.0)
    assert bucket.owed_s == pytest.approx(0.1)


async def test_pings_without_end_cost_the_sender_time_and_the_hub_no_memory(hub: Hub) -> None:
    async with hub(limits=HubLimits(messages_per_s=50.0)) as played, connect(played.url, compression=None) as socket:
        hello = {"kind": "hello", "device": "rack", "token": played.orchestrator.token}
        await socket.send(json.dumps({"v": 1, "messages": [hello]}))
        await socket.recv()
        begin = anyio.current_time()
        for number in range(100):
            await socket.send(encode_text([json.dumps({"kind": "ping", "nonce": number})]))
        while '"nonce":99' not in str(await socket.recv()):
            pass
        assert anyio.current_time() - begin > 0.9, "50 at once, and 50 in the second after it"


async def test_a_hello_over_its_limit_is_not_looked_at(hub: Hub) -> None:
    async with hub() as played, connect(played.url, compression=None) as socket:
        hello = {"kind": "hello", "device": "rack", "token": played.orchestrator.token, "memory": "x" * MAX_HELLO_BYTES}
        await socket.send(json.dumps({"v": 1, "messages": [hello]}))
        assert '"code":"frame-too-large"' in str(await socket.recv())


async def test_what_nests_too_deep_for_some_readers_reaches_none(hub: Hub) -> None:
    async with hub() as played, played.device("rack") as rack:
        run = await played.submit("work", "work")
        deep: Any = 1
        for _ in range(MAX_VALUE_NESTING + 10):
            deep = [deep]
        ends: list[dict[str, Any]] = [
            {"status": "succeeded", "output": deep},
            {"status": "failed", "error": ErrorInfo(type="Odd", message="as it is", details={"deep": deep})},
        ]
        for end in ends:
            attempt, epoch = (await rack.assigned()).attempt, rack.link.welcome.epoch
            await rack.link.send(
                Accept(attempt=attempt, epoch=epoch),
                Progress(attempt=attempt, epoch=epoch, text="half way", data=deep),
                Result(attempt=attempt, epoch=epoch, **end),
            )
        report = await run.wait()
        errors = [str(row.error).partition(":")[0] for row in report.rows]
        assert errors == ["InvalidOutput", "Odd"]
        async with Orchestrator.connect(played.url, played.orchestrator.token) as client:
            events = [event async for event in (await client.find_run(run.id)).events()]
        progress = [event for event in events if isinstance(event, StarProgress)]
        assert [(event.text, event.data) for event in progress] == [("half way", None)] * 2


@pytest.mark.parametrize("kind", [str, bytes])
async def test_a_frame_over_the_limit_ends_its_senders_session_and_no_other(hub: Hub, kind: type) -> None:
    async with hub() as played, played.device("calm") as calm:
        socket = await connect(played.url, compression=None)
        await socket.send(
            json.dumps({"v": 1, "messages": [{"kind": "hello", "device": "rude", "token": played.orchestrator.token}]})
        )
        assert '"kind":"welcome"' in str(await socket.recv())
        frame = " " * (Limits().max_frame_bytes + 1)
        await socket.send(frame if kind is str else frame.encode())
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009  # a reset may overtake the closing frame
        await socket.wait_closed()
        while [device.name for device in await played.orchestrator.devices()] != ["calm"]:
            await played.orchestrator._book.hub.wait_changed()
        run = await played.submit("work")
        await calm.answer((await calm.assigned()).attempt, "done")
        assert await run.result() == {"s0": "done"}


async def test_a_hello_that_can_not_be_taken_leaves_nothing_behind(hub: Hub) -> None:
    async with hub() as played:
        hello = {"kind": "hello", "device": "rack", "token": played.orchestrator.token}
        for spoilt, words in (
            ({"received": 7}, "resumes no session"),
            ({"versions": list(range(2, 100_000))}, "the device 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"),
        ):
            async with connect(played.url, compression=None) as socket:
                await socket.send(json.dumps({"v": 1, "messages": [hello | spoilt]}))
                answer = str(await socket.recv())
                assert words in answer
                assert len(answer) < 500
        assert played.orchestrator._book.hub._grants == {}


def files(*sizes: int) -> tuple[ArtifactInfo, ...]:
    return tuple(ArtifactInfo(sha256=f"{number:064x}", size=size) for number, size in enumerate(sizes))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (HubLimits(artifacts_per_run=2), "the run would have 3 files, and may have 2"),
        (HubLimits(artifact_bytes_per_run=59), "the files of the run would have 60 bytes, and may have 59"),
    ],
    ids=["count", "bytes"],
)
async def test_the_files_of_a_run_are_limited_and_each_counts_once(hub: Hub, limits: HubLimits, words: str) -> None:
    async with hub(limits=limits) as played, played.device("rack") as rack:
        run = await played.submit("work", "work", "work")
        for brought in (files(10, 20), files(10, 20), files(10, 20, 30)):
            assign = await rack.assigned()
            done = Result(
                attempt=assign.attempt, epoch=assign.epoch, status="succeeded", output="ok", artifacts=brought
            )
            await rack.link.send(done)
        report = await run.wait()
        assert report.stars == {"succeeded": 2, "failed": 1}
        (failed,) = [row for row in report.rows if row.state == "failed"]
        assert words in str(failed)
        assert "TooManyArtifacts" in str(failed)
        other = await played.submit("work")
        assign = await rack.assigned()
        done = Result(
            attempt=assign.attempt, epoch=assign.epoch, status="succeeded", output="ok", artifacts=files(10, 20)
        )
        await rack.link.send(done)
        assert await other.result() == {"s0": "ok"}, "another run has a count of its own"


async def test_a_device_can_not_use_up_what_the_run_of_another_may_bring(hub: Hub) -> None:
    async with hub(limits=HubLimits(artifacts_per_run=1)) as played, played.device("honest") as honest:
        run = await played.submit("work", device="honest")
        assign = await honest.assigned()
        async with played.device("liar") as liar:
            for epoch in (assign.epoch, liar.link.welcome.epoch):
                forged = Result(attempt=assign.attempt, epoch=epoch, status="succeeded", artifacts=files(1))
                await liar.link.send(forged)
            own = await played.submit("work", device="liar")
            await liar.answer((await liar.assigned()).attempt, "own")
            await own.result()
        brought = (ArtifactInfo(sha256="f" * 64, size=1),)
        done = Result(attempt=assign.attempt, epoch=assign.epoch, status="succeeded", output="true", artifacts=brought)
        await honest.link.send(done)
        assert await run.result() == {"s0": "true"}
