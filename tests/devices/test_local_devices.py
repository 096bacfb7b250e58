"""Devices within the orchestrator's process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_devices import DeviceNotStarted, LocalDevices
from constellation_protocol.kinds import DeviceSpec
from constellation_tools import Tool

pytestmark = pytest.mark.anyio


def double(number: int) -> int:
    return 2 * number


async def test_a_local_device_runs_functions_and_built_in_tools(socket_hub: Any, tmp_path: Path) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here", tools=[double], root=tmp_path / "root"), door)
        hub = await door.session("here")
        assert (device.name, device.pid) == ("here", os.getpid())
        assert (await hub.call("double", {"number": 4})).output == 8
        written = await hub.call("files_write", {"path": "note.txt", "text": "hello"})
        assert written.status == "succeeded", written.error
        assert (tmp_path / "root" / "note.txt").read_text() == "hello"


async def test_blocking_tools_run_in_threads_of_this_process(socket_hub: Any) -> None:
    threads = []

    def which() -> int:
        threads.append(threading.get_ident())
        return os.getpid()

    async with socket_hub() as door, LocalDevices() as kind:
        await kind.start(DeviceSpec("here", tools=[which]), door)
        hub = await door.session("here")
        assert (await hub.call("which")).output == os.getpid()
        assert threads[0] != threading.get_ident()


async def test_tools_can_be_offered_while_it_runs(socket_hub: Any) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here"), door)
        hub = await door.session("here")
        device.offer([double, Tool.from_function(lambda: 1, name="one")])
        assert (await hub.call("double", {"number": 4})).output == 8
        assert (await hub.call("one")).output == 1


async def test_results_are_not_kept_once_they_are_sent(socket_hub: Any) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here", tools=[double]), door)
        hub = await door.session("here")
        await hub.call("double", {"number": 4})
        with anyio.fail_after(5):
            while device._agent.hello().finished:
                await anyio.lowlevel.checkpoint()


async def test_closing_a_device_cancels_its_work_and_says_goodbye(socket_hub: Any, sample_tools_file: Path) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here", tools=[str(sample_tools_file)]), door)
        hub = await door.session("here")
        attempt = await hub.assign("wait_forever")
        await hub.accepted(attempt)
        with anyio.fail_after(5):
            await device.aclose()
            await device.aclose()
        assert (await hub.result(attempt)).status == "cancelled"
        assert "closed" in await hub.until_closed()


async def test_leaving_the_kind_closes_all_its_devices_at_once(socket_hub: Any) -> None:
    async with socket_hub() as door:
        async with LocalDevices() as kind:
            for name in ("one", "two", "three"):
                await kind.start(DeviceSpec(name), door)
        for name in ("one", "two", "three"):
            assert "closed" in await (await door.session(name)).until_closed()


async def test_temporary_directories_go_with_the_device(
    socket_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here"), door)
        assert len(list(tmp_path.glob("constellation-*"))) == 2
        await device.aclose()
        assert not list(tmp_path.glob("constellation-*"))


async def test_an_orchestrator_that_ends_the_session_ends_the_device(socket_hub: Any) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        device = await kind.start(DeviceSpec("here"), door)
        hub = await door.session("here")
        await hub.link.aclose("enough")
        with anyio.fail_after(5):
            await device.aclose()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (DeviceSpec("bad", tools=["no_such_module:x"]), "no_such_module"),
        (DeviceSpec("bad", tools=[Tool.from_function(double, name="files_read")]), "files_read"),
        (DeviceSpec("bad", root=Path("/dev/null/below")), "/dev/null/below"),
    ],
)
async def test_a_spec_that_cannot_work_is_refused_with_the_reason(
    socket_hub: Any, spec: DeviceSpec, words: str
) -> None:
    async with socket_hub() as door, LocalDevices() as kind:
        with pytest.raises(DeviceNotStarted, match=words):
            await kind.start(spec, door)
