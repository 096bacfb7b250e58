"""Staying with an orchestrator over real sockets: joining, coming back, lingering, giving up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from constellation_devices.agent import DeviceAgent
from constellation_devices.home import open_home
from constellation_devices.runtime import DeviceSettings, run_device, stay_connected
from constellation_devices.secret_environment import TOKEN_VARIABLE, environment_for_tools, take_token
from constellation_protocol import Drain, Limits, Refused, Result
from constellation_protocol.kinds import DeviceSpec

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def agent_of(sample_tools_file: Path, **options: Any) -> AsyncIterator[DeviceAgent]:
    spec = DeviceSpec("d", tools=[str(sample_tools_file)], slots=2, **options)
    with open_home(spec, durable=True) as home:
        async with DeviceAgent(spec, home, worker_processes=False) as agent:
            yield agent


async def test_a_result_is_kept_until_it_is_acknowledged_over_the_socket(
    socket_hub: Any, sample_tools_file: Path
) -> None:
    async with (
        socket_hub(tokens={"d": "t"}) as door,
        agent_of(sample_tools_file) as agent,
        anyio.create_task_group() as task_group,
    ):
        task_group.start_soon(stay, agent, door.url)
        hub = await door.session("d")
        assert (await hub.call("add", {"a": 1, "b": 2})).output == 3
        with anyio.fail_after(10):
            while agent.hello().finished:
                await anyio.lowlevel.checkpoint()
        assert agent.connected
        await agent.finish("enough", grace_s=0)
        assert "enough" in await hub.until_closed()
        task_group.cancel_scope.cancel()


async def test_a_device_comes_back_after_a_goodbye_and_carries_on(
    socket_hub: Any, sample_tools_file: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    async with (
        socket_hub(tokens={"d": "t"}) as door,
        agent_of(sample_tools_file) as agent,
        anyio.create_task_group() as task_group,
    ):
        task_group.start_soon(stay, agent, door.url)
        first = await door.session("d")
        attempt = await first.assign("shielded", {"release": str(release)})
        await first.accepted(attempt)
        await first.link.aclose("restarting")
        second = await door.session("d", 1)
        assert door.hellos[-1].running == (attempt,)
        release.touch()
        result = await second.result(attempt)
        assert (result.output, result.epoch) == ("late", 2)
        assert not first.of(Result)
        task_group.cancel_scope.cancel()


async def test_a_result_that_fits_into_no_frame_fails_instead_of_the_device(
    socket_hub: Any, sample_tools_file: Path
) -> None:
    limits = Limits(max_frame_bytes=60_000)
    async with (
        socket_hub(tokens={"d": "t"}, limits=limits) as door,
        agent_of(sample_tools_file) as agent,
        anyio.create_task_group() as task_group,
    ):
        agent._kept.begin(["too-long"])
        agent._kept.keep(Result(attempt="too-long", epoch=0, status="succeeded", output="x" * 100_000))
        task_group.start_soon(stay, agent, door.url)
        hub = await door.session("d")
        assert (await hub.result("too-long")).error.type == "InvalidOutput"
        assert (await hub.call("add", {"a": 1, "b": 2})).output == 3
        task_group.cancel_scope.cancel()


async def test_a_device_that_was_drained_does_not_come_back(socket_hub: Any, sample_tools_file: Path) -> None:
    async with socket_hub(tokens={"d": "t"}) as door, agent_of(sample_tools_file) as agent:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(stay, agent, door.url)
            hub = await door.session("d")
            await hub.link.send(Drain())
            await hub.until_closed()
        assert len(door.hellos) == 1


async def test_a_refusal_for_good_is_raised(socket_hub: Any, sample_tools_file: Path) -> None:
    async with socket_hub(tokens={"d": "other"}) as door, agent_of(sample_tools_file) as agent:
        with pytest.raises(Refused, match="authentication"):
            await stay(agent, door.url)


async def test_a_refusal_for_now_is_tried_again(socket_hub: Any, sample_tools_file: Path) -> None:
    async with (
        socket_hub(tokens={"d": "t"}) as door,
        agent_of(sample_tools_file) as agent,
        anyio.create_task_group() as task_group,
    ):
        door.refusals.append(Refused("limit", "too busy", retry=True))
        task_group.start_soon(stay, agent, door.url)
        hub = await door.session("d")
        assert (await hub.call("add", {"a": 1, "b": 2})).output == 3
        assert not any(hello.elsewhere for hello in door.hellos)
        assert not door.refusals
        task_group.cancel_scope.cancel()


async def test_what_is_no_orchestrator_is_given_up(sample_tools_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def talk_http(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with agent_of(sample_tools_file) as agent, listener, anyio.create_task_group() as task_group:
        task_group.start_soon(listener.serve, talk_http)
        with anyio.fail_after(20):
            await stay_connected(agent, [f"ws://127.0.0.1:{port}/aip"], token="t", linger_s=0.2)
        task_group.cancel_scope.cancel()
    assert "HTTP 200" in caplog.text


async def test_without_an_orchestrator_it_lingers_and_returns(sample_tools_file: Path) -> None:
    async with agent_of(sample_tools_file) as agent:
        start = anyio.current_time()
        with anyio.fail_after(20):
            await stay_connected(agent, ["ws://127.0.0.1:1/aip"], token=None, linger_s=0.3)
        assert anyio.current_time() - start < 10


async def test_of_several_orchestrators_the_one_that_is_up_is_joined_and_when_it_goes_the_next(
    socket_hub: Any, sample_tools_file: Path
) -> None:
    nobody = "ws://127.0.0.1:1/aip"
    async with agent_of(sample_tools_file) as agent, anyio.create_task_group() as task_group:
        async with socket_hub(tokens={"d": "t"}) as standby:
            async with socket_hub(tokens={"d": "t"}) as active:
                urls = [nobody, active.url, standby.url]
                task_group.start_soon(partial(stay_connected, agent, urls, token="t", linger_s=10))
                first = await active.session("d")
                assert (await first.call("add", {"a": 1, "b": 2})).output == 3
                assert standby.hellos == []
                await first.link.aclose("going down")
            second = await standby.session("d")
            assert (await second.call("add", {"a": 2, "b": 2})).output == 4
            assert all(hello.elsewhere for hello in (*active.hellos, *standby.hellos))
            task_group.cancel_scope.cancel()


async def test_a_device_process_runs_until_it_is_drained(socket_hub: Any, tmp_path: Path) -> None:
    ready = []
    async with socket_hub(tokens={"d": "t"}) as door, anyio.create_task_group() as task_group:
        settings = DeviceSettings(
            spec=DeviceSpec("d", state_dir=tmp_path / "state"), urls=[door.url], token="t", linger_s=5, grace_s=1
        )

        async def run() -> None:
            await run_device(settings, ready=lambda: ready.append(True))

        task_group.start_soon(run)
        hub = await door.session("d")
        assert ready == [True]
        assert "token" not in repr(settings)
        await hub.link.send(Drain())
        await hub.until_closed()


def test_the_token_is_taken_out_of_the_environment_for_good() -> None:
    program = (
        "import os, pathlib\n"
        "from constellation_devices.secret_environment import take_token\n"
        "assert take_token() == 'the-secret'\n"
        "assert take_token() is None\n"
        "environ = pathlib.Path('/proc/self/environ')\n"
        "assert not environ.exists() or b'the-secret' not in environ.read_bytes()\n"
        "assert 'the-secret' not in str(dict(os.environ))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, TOKEN_VARIABLE: "the-secret"})


def test_tools_never_inherit_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "the-secret")
    monkeypatch.setenv("OTHER", "kept")
    assert TOKEN_VARIABLE not in environment_for_tools()
    assert environment_for_tools()["OTHER"] == "kept"
    assert take_token() == "the-secret"
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


async def stay(agent: DeviceAgent, url: str) -> None:
    await stay_connected(agent, [url], token="t", linger_s=10)
