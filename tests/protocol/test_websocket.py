"""Sessions over real sockets: cuts in mid-stream, refusals, limits, TLS-free loopback, and other paths."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from constellation_protocol import (
    Assign,
    Hello,
    Limits,
    Link,
    LinkClosed,
    Listener,
    Message,
    Progress,
    ReconnectPolicy,
    Refused,
    SessionSettings,
    ToolWork,
    Transport,
    TransportClosed,
    dial,
    listen,
)
from constellation_protocol.dialer import dial_over
from constellation_protocol.transport import Peer
from constellation_protocol.websocket import connect_websocket

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]
QUICK = ReconnectPolicy(first_delay_s=0.01, max_delay_s=0.05, give_up_s=5.0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process, or a task without an event of its own, brings about."""
    with anyio.fail_after(15):
        while not condition():
            await anyio.sleep(0.005)


class Orchestrator:
    """What the sessions of one listener brought."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.links: list[Link] = []
        self.ends: list[str] = []
        self.token: str | None = None

    async def authenticate(self, hello: Hello, peer: Peer) -> None:
        if hello.token != self.token:
            raise Refused("authentication", "the token is not one of ours")

    async def admit(self, hello: Hello, grounds: None) -> int:
        return len(self.links) + 1

    async def serve(self, link: Link) -> None:
        self.links.append(link)
        try:
            while True:
                messages = await link.receive()
                self.received += messages
                if messages[-1] == progress(-1):
                    await link.send(Assign(run="r", star="s", attempt="a", epoch=1, work=ToolWork(tool="t")))
        except LinkClosed as closed:
            self.ends.append(closed.reason)


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Orchestrator, Listener]]:
    orchestrator = Orchestrator()
    with anyio.fail_after(20):
        async with listen(
            authenticate=orchestrator.authenticate, admit=orchestrator.admit, serve=orchestrator.serve, **options
        ) as listener:
            yield orchestrator, listener


def hello() -> Hello:
    return Hello(device="laptop")


def progress(number: int) -> Progress:
    return Progress(attempt="a", epoch=1, data=number)


async def test_a_stream_survives_cut_sockets() -> None:
    made: list[Transport] = []
    acked: list[Message] = []
    async with running(settings=SessionSettings(credits=32)) as (orchestrator, listener):

        async def connect() -> Transport:
            made.append(await connect_websocket(listener.url, max_frame_bytes=2**22))
            return made[-1]

        async with dial_over(connect, hello, reconnect=QUICK, on_acked=acked.extend) as link:
            for number in range(500):
                await link.send(progress(number))
                if number % 100 == 50:
                    made[-1].abort()
            await link.send(progress(-1))
            assert len(await link.receive()) == 1

    assert [message.data for message in orchestrator.received] == [*range(500), -1]  # type: ignore[union-attr]
    assert acked == orchestrator.received
    assert len(made) > 3
    assert len(orchestrator.links) == 1


async def test_a_wrong_token_is_refused_at_the_door() -> None:
    async with running() as (orchestrator, listener):
        orchestrator.token = "right"
        with pytest.raises(Refused, match="not one of ours"):
            async with dial(listener.url, lambda: Hello(device="d", token="wrong")):
                pass
        async with dial(listener.url, lambda: Hello(device="d", token="right")) as link:
            assert link.connected


async def test_a_device_of_another_version_is_refused() -> None:
    async with running() as (_, listener):
        with pytest.raises(Refused) as caught:
            async with dial(listener.url, lambda: Hello(device="d", versions=(99,))):
                pass
        assert caught.value.code == "version"


async def test_leaving_tells_the_other_side_why() -> None:
    async with running() as (orchestrator, listener):
        async with dial(listener.url, hello) as link:
            await link.send(progress(-1))
            await link.receive()
            await link.aclose("done")
        assert orchestrator.ends == ["the peer said goodbye: done"]


async def test_a_stopping_listener_says_goodbye_and_frees_its_port() -> None:
    async with running() as (_, listener):
        stopping = anyio.Event()
        reasons: list[str] = []

        async def wait_for_end() -> None:
            async with dial(listener.url, hello) as link:
                stopping.set()
                with pytest.raises(LinkClosed) as caught:
                    await link.receive()
                reasons.append(caught.value.reason)

        async with anyio.create_task_group() as tasks:
            orchestrator = Orchestrator()
            async with listen(
                port=0,
                authenticate=orchestrator.authenticate,
                admit=orchestrator.admit,
                serve=orchestrator.serve,
            ) as listener:
                tasks.start_soon(wait_for_end)
                await stopping.wait()
        assert reasons == ["the peer said goodbye: the orchestrator is stopping"]
        with pytest.raises(TransportClosed):
            await connect_websocket(listener.url, max_frame_bytes=2**20)


async def test_a_frame_over_the_limit_costs_its_sender_the_connection() -> None:
    settings = SessionSettings(limits=Limits(max_frame_bytes=2048))
    async with running(settings=settings) as (orchestrator, listener):
        async with connect(listener.url, compression=None) as socket:
            await socket.send('{"v":1,"messages":[{"kind":"hello","device":"rude"}]}')
            assert '"kind":"welcome"' in str(await socket.recv())
            await socket.send('{"v":1,"seq":1,"messages":[{"kind":"progress","text":"' + "x" * 3000)
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
        await until(lambda: bool(orchestrator.ends))
        assert "frame-too-large" in orchestrator.ends[0]


async def messages_until_cut(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    try:
        while True:
            yield await socket.recv()
    except ConnectionClosed:
        return


async def test_a_peer_that_goes_silent_is_noticed() -> None:
    settings = SessionSettings(heartbeat_s=0.05, resume_window_s=0.05)
    async with running(settings=settings) as (orchestrator, listener):
        async with connect(listener.url, compression=None) as socket:
            await socket.send('{"v":1,"messages":[{"kind":"hello","device":"silent"}]}')
            await socket.recv()
            assert {json.loads(frame)["messages"][0]["kind"] async for frame in messages_until_cut(socket)} == {"ping"}
            await until(lambda: bool(orchestrator.ends))
        assert orchestrator.ends == ["no connection for 0.05 s"]


async def test_other_paths_get_the_raw_transport_and_unknown_ones_nothing() -> None:
    async def echo(transport: Transport, path: str, peer: Peer) -> None:
        await transport.send(f"{path}: {await transport.receive()!r}")

    async with running(paths={"/control": echo}) as (_, listener):
        root = listener.url.removesuffix("/aip")
        control = await connect_websocket(f"{root}/control?x=1", max_frame_bytes=2**20)
        await control.send(b"hi")
        assert await control.receive() == "/control: b'hi'"
        with pytest.raises(TransportClosed):
            await control.receive()
        with pytest.raises(TransportClosed):
            await control.send("late")
        with pytest.raises(TransportClosed, match="404"):
            await connect_websocket(f"{root}/elsewhere", max_frame_bytes=2**20)


async def test_a_web_page_can_not_connect() -> None:
    async with running() as (_, listener):
        with pytest.raises(InvalidStatus):
            await connect(listener.url, origin="https://evil.example")  # type: ignore[arg-type]


async def test_a_failing_session_handler_stops_the_listener_with_its_error() -> None:
    orchestrator = Orchestrator()

    async def fail(link: Link) -> None:
        raise RuntimeError("a bug")

    async def run() -> None:
        async with (
            listen(authenticate=orchestrator.authenticate, admit=orchestrator.admit, serve=fail) as listener,
            dial(listener.url, hello) as link,
        ):
            with suppress(LinkClosed):
                await link.receive()
            await anyio.sleep_forever()

    with anyio.fail_after(10), pytest.raises(RuntimeError, match="a bug"):
        await run()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/aip", "ws://127.0.0.1:1/aip", "ws://user:pw@localhost:1/aip?k=v"])
async def test_a_url_that_can_not_be_reached_is_named_without_its_secrets(url: str) -> None:
    with pytest.raises(TransportClosed) as caught:
        async with dial(url, hello):
            pass

    assert "can't connect to" in str(caught.value)
    assert "pw" not in str(caught.value)


async def test_a_redirect_is_not_followed() -> None:
    async def redirect(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/aip\r\nContent-Length: 0\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, redirect)
        port = server.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(TransportClosed, match="302"):
            await connect_websocket(f"ws://127.0.0.1:{port}/aip", max_frame_bytes=2**20)
        tasks.cancel_scope.cancel()


DEVICE = """
import anyio, sys
from constellation_protocol import Hello, Progress, dial
async def main(url):
    async with dial(url, lambda: Hello(device="child")) as link:
        for number in range(10_000_000):
            await link.send(Progress(attempt="a", epoch=1, data=number))
anyio.run(main, sys.argv[1])
"""


async def test_a_killed_device_process_ends_its_session_after_the_resume_window() -> None:
    async with running(settings=SessionSettings(resume_window_s=0.1)) as (orchestrator, listener):
        child = subprocess.Popen([sys.executable, "-c", DEVICE, listener.url], env=dict(os.environ))  # noqa: ASYNC220 - brief
        try:
            await until(lambda: len(orchestrator.received) >= 1000)
            child.kill()
            await until(lambda: bool(orchestrator.ends))
        finally:
            child.kill()
            child.wait()

        numbers = [message.data for message in orchestrator.received]  # type: ignore[union-attr]
        assert numbers == list(range(len(numbers)))
        assert orchestrator.ends == ["no connection for 0.1 s"]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A fresh self-signed certificate for 127.0.0.1, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    pem = tmp_path / "server.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"]
    pem.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return pem


async def test_a_session_over_tls_trusts_only_the_certificate_it_is_told_to(certificate: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    async with running(ssl=server) as (orchestrator, listener):
        assert listener.url.startswith("wss://")
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with dial(listener.url, hello, ssl=trusting) as link:
            await link.send(progress(1))
        assert orchestrator.received == [progress(1)]

        with pytest.raises(TransportClosed, match="CERTIFICATE_VERIFY_FAILED"):
            async with dial(listener.url, hello):
                pass
