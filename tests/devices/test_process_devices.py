"""Devices in child processes: they join over a socket, work, and leave nothing behind, however they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from constellation_devices import DeviceNotStarted, ProcessDevices
from constellation_devices.kinds import process as process_kind
from constellation_protocol import Result
from constellation_protocol.kinds import DeviceSpec

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


@pytest.fixture
def spec(sample_tools_file: Path, tmp_path: Path) -> DeviceSpec:
    return DeviceSpec(
        "child",
        labels={"role": "test"},
        resources={"licences": 2},
        slots=2,
        tools=[str(sample_tools_file)],
        state_dir=tmp_path / "state",
        root=tmp_path / "root",
    )


async def test_a_child_joins_with_its_profile_works_and_leaves(
    socket_hub: Any, spec: DeviceSpec, vanishing: Callable[..., Any]
) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        profile = door.hellos[0].profile
        assert device.name == "child"
        assert device.pid == profile.pid != os.getpid()
        assert (profile.labels["role"], profile.resources["licences"], profile.slots) == ("test", 2.0, 2)
        assert {"add", "files_read", "shell_run"} <= {tool.name for tool in profile.tools}
        assert (await hub.call("add", {"a": 1, "b": 2})).output == 3
        worker = (await hub.call("process_id")).output["pid"]
        assert worker not in (device.pid, os.getpid())
        await device.aclose()
        assert "received SIGTERM" in await hub.until_closed() or hub.closed
        await vanishing(device.pid, worker)


async def test_a_child_leads_a_session_of_its_own(socket_hub: Any, spec: DeviceSpec) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        assert os.getsid(device.pid) == device.pid != os.getsid(0)


async def test_a_child_is_told_what_its_sandbox_has(socket_hub: Any, spec: DeviceSpec, tmp_path: Path) -> None:
    told = replace(spec, sandbox_network=True, sandbox_readable=(tmp_path,))
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(told, door)
        command = psutil.Process(device.pid).cmdline()
        assert "--sandbox-network" in command
        assert command[command.index("--sandbox-readable") + 1] == str(tmp_path)
        with pytest.raises(DeviceNotStarted, match="gone can't be made readable in the sandbox"):
            await kind.start(replace(told, name="other", sandbox_readable=(tmp_path / "gone",), state_dir=None), door)


async def test_the_token_reaches_neither_tools_nor_the_process_list(socket_hub: Any, spec: DeviceSpec) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        token = door.tokens["child"]
        assert (await hub.call("environment", {"name": "CONSTELLATION_TOKEN"})).output is None
        shell = await hub.call("shell_run", {"argv": ["env"]})
        assert token not in json.dumps(shell.output)
        for file in ("environ", "cmdline"):
            path = Path(f"/proc/{device.pid}/{file}")
            if path.exists():
                assert token.encode() not in path.read_bytes()
        log = spec.state_dir / "device.log"  # type: ignore[operator]
        assert token not in log.read_text()


async def test_a_running_tool_and_its_programs_end_with_the_device(
    socket_hub: Any, spec: DeviceSpec, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        attempt = await hub.assign("sleep_with_child", {"marker": str(marker)})
        pids = [int(pid) for pid in (await appearing(marker)).split()]
        await device.aclose()
        await vanishing(device.pid, *pids)
        assert (await hub.until(lambda: hub.of(Result, attempt)))[0].status == "cancelled"


async def test_workers_and_their_programs_die_with_a_device_that_is_killed(
    socket_hub: Any, spec: DeviceSpec, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        await hub.assign("sleep_with_child", {"marker": str(marker)})
        pids = [int(pid) for pid in (await appearing(marker)).split()]
        os.kill(device.pid, signal.SIGKILL)
        await vanishing(device.pid, *pids)


async def test_a_killed_device_that_is_started_again_tells_what_it_had_done_and_was_doing(
    socket_hub: Any, spec: DeviceSpec, tmp_path: Path, appearing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        attempt = await hub.assign("sleep_with_child", {"marker": str(marker)})
        await appearing(marker)
        os.kill(device.pid, signal.SIGKILL)
        await kind.start(spec, door)
        again = await door.session("child", 1)
        assert door.hellos[-1].finished == (attempt,)
        assert (await again.result(attempt)).error.type == "AttemptOutcomeUnknown"


async def test_a_device_that_does_not_end_is_killed_with_all_it_started(
    socket_hub: Any, spec: DeviceSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, appearing: Any, vanishing: Any
) -> None:
    marker = tmp_path / "pids"
    monkeypatch.setattr(process_kind, "KILL_AFTER_S", 0.2)
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        hub = await door.session("child")
        await hub.assign("sleep_with_child", {"marker": str(marker)})
        pids = [int(pid) for pid in (await appearing(marker)).split()]
        os.kill(device.pid, signal.SIGSTOP)
        with anyio.fail_after(10):
            await device.aclose()
        await vanishing(device.pid, *pids)


async def test_a_device_with_a_tool_that_cannot_be_loaded_is_not_started_and_says_why(
    socket_hub: Any, tmp_path: Path
) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        with pytest.raises(DeviceNotStarted, match="no_such_module"):
            await kind.start(DeviceSpec("child", tools=["no_such_module:x"]), door)
        assert not psutil.Process().children(recursive=True)


async def test_a_function_cannot_be_given_to_another_process(socket_hub: Any) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        with pytest.raises(TypeError, match="module:attr"):
            await kind.start(DeviceSpec("child", tools=[lambda: 1]), door)


async def test_functions_cannot_be_offered_to_a_process_later(socket_hub: Any, spec: DeviceSpec) -> None:
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(spec, door)
        with pytest.raises(TypeError, match="module:attr"):
            device.offer([lambda: 1])


async def test_temporary_directories_go_with_the_device(
    socket_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with socket_hub() as door, ProcessDevices() as kind:
        device = await kind.start(DeviceSpec("child"), door)
        await door.session("child")
        assert list(tmp_path.glob("constellation-*"))
        os.kill(device.pid, signal.SIGKILL)
    assert not list(tmp_path.glob("constellation-*"))


async def test_a_device_whose_orchestrator_is_killed_works_on_and_joins_the_next_one(
    socket_hub: Any, spec: DeviceSpec, tmp_path: Path
) -> None:
    gate, out = tmp_path / "gate", tmp_path / "out"
    arguments = {"path": str(out), "gate": str(gate), "line": "once"}
    tokens = {"child": "token"}
    async with (
        started_hub("the-attempt", "append_after", arguments) as first,
        started_device(spec, first.port, linger_s=30) as device,
    ):
        await first.accepted()
        first.process.kill()
        await first.process.wait()
        async with socket_hub(port=first.port, tokens=tokens) as door:
            hub = await door.session("child")
            assert door.hellos[0].running == ("the-attempt",)
            await hub.assign("append_after", arguments, attempt="the-attempt")
            await hub.accepted("the-attempt")
            gate.touch()
            assert (await hub.result("the-attempt")).output == "once"
            assert out.read_text() == "once\n"
            device.terminate()
            with anyio.fail_after(20):
                assert await device.wait() == 0


async def test_a_device_without_an_orchestrator_ends_by_itself_after_its_time(
    spec: DeviceSpec, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with (
        started_hub("the-attempt", "sleep_with_child", {"marker": str(marker)}) as hub,
        started_device(spec, hub.port, linger_s=0.6) as device,
    ):
        pids = [int(pid) for pid in (await appearing(marker)).split()]
        hub.process.kill()
        with anyio.fail_after(20):
            assert await device.wait() == 0
        await vanishing(*pids)


class _Hub:
    def __init__(self, process: Process, lines: Any, port: int) -> None:
        self.process = process
        self._lines = lines
        self.port = port

    async def accepted(self) -> None:
        with anyio.fail_after(20):
            assert await self._lines() == "accepted"


@asynccontextmanager
async def started_hub(attempt: str, tool: str, arguments: dict[str, Any]) -> AsyncIterator[_Hub]:
    program = Path(__file__).with_name("hub_program.py")
    command = [sys.executable, str(program), "0", attempt, tool, json.dumps(arguments)]
    async with await anyio.open_process(command, stderr=None) as process:
        stream = BufferedByteReceiveStream(process.stdout)  # type: ignore[arg-type]

        async def line() -> str:
            return (await stream.receive_until(b"\n", 1000)).decode()

        try:
            with anyio.fail_after(20):
                found = int(await line())
            yield _Hub(process, line, found)
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def started_device(spec: DeviceSpec, port: int, *, linger_s: float) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "constellation_devices", "--url", f"ws://127.0.0.1:{port}"]
    command += ["--name", spec.name, "--linger", str(linger_s), "--state-dir", str(spec.state_dir)]
    for reference in spec.tools:
        command += ["--tools", reference]
    async with await anyio.open_process(
        command, stdout=subprocess.DEVNULL, stderr=None, env={**os.environ, "CONSTELLATION_TOKEN": "token"}
    ) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
