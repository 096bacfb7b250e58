"""Fleets: what is kept of device processes, for whom, and what is found of them again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from constellation import Approval, Orchestrator, TaskConstellation
from constellation.orchestrator import fleets, survivors
from constellation.orchestrator.errors import CannotResume, DeviceUnsuited, UnknownDeviceKind
from constellation.orchestrator.events import StarSettled
from constellation.orchestrator.survivors import Survivor, find_survivors
from constellation_protocol.kinds import A2AAgent, DeviceSpec, ModelAgent

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TOOLS = str(Path(__file__).parent / "orchestra_tools.py")
ENDED = "import sys,time; print('up', flush=True); time.sleep(60)"


@contextmanager
def pretender(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a command line of the test's choice behind the code that it runs."""
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def module(path: Path) -> dict[str, str]:
    """An environment in which `constellation_devices` is a program that only waits."""
    package = path / "constellation_devices"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(ENDED)
    return {"PYTHONPATH": str(path), "PATH": os.environ["PATH"]}


@contextmanager
def device_like(tmp_path: Path, state: str) -> Iterator[int]:
    command = [sys.executable, "-m", "constellation_devices", "--name", "d", "--state-dir", state]
    with subprocess.Popen(command, env=module(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process.pid
        finally:
            process.kill()


def graph_that_waits() -> TaskConstellation:
    graph = TaskConstellation("waits")
    graph.star("ask", Approval("Go on?"))
    return graph


# --- survivors ------------------------------------------------------------------------------------------------------


async def test_a_device_process_is_found_by_its_state_directory_and_stopped(tmp_path: Path) -> None:
    state = tmp_path / "state"
    specs = [DeviceSpec("d", state_dir=state), DeviceSpec("other", state_dir=tmp_path / "other"), DeviceSpec("none")]
    with device_like(tmp_path, str(state)) as pid:
        (found,) = find_survivors(specs)
        assert (found.name, found.pid) == ("d", pid)
        with pytest.raises(TypeError, match="process of its own"):
            found.offer([])
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                ends: list[str] = []

                async def watch() -> None:
                    ends.append(await found.wait_ended())

                tasks.start_soon(watch)
                await found.aclose()
        assert ends == ["its process has ended"]
        await found.aclose()  # which changes nothing
    assert find_survivors(specs) == []


async def test_a_process_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survivors, "STOP_S", 0.1)
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with pretender(stubborn) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with anyio.fail_after(10):
            await Survivor("d", psutil.Process(process.pid)).aclose()
        assert not psutil.pid_exists(process.pid)


async def test_processes_of_other_users_are_not_taken_for_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    with device_like(tmp_path, str(state)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getuid", lambda: 12345)
            assert find_survivors([DeviceSpec("d", state_dir=state)]) == []
        assert len(find_survivors([DeviceSpec("d", state_dir=state)])) == 1


@pytest.mark.parametrize("words", [["constellation_devices", "--state-dir", "STATE"], ["-m", "constellation_devices"]])
async def test_processes_that_only_name_a_device_are_not_taken_for_one(tmp_path: Path, words: list[str]) -> None:
    with pretender(ENDED, *(word.replace("STATE", str(tmp_path)) for word in words)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert find_survivors([DeviceSpec("d", state_dir=tmp_path)]) == []


# --- what is kept ---------------------------------------------------------------------------------------------------


async def test_what_is_kept_of_devices_is_their_owners_only_and_gone_when_no_run_needs_it(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with Orchestrator.local(
            devices=1, kind="process", journal=tmp_path / "journal.db", home=tmp_path
        ) as orchestrator:
            (folder,) = (tmp_path / "fleets").iterdir()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE((folder / "fleet.json").stat().st_mode) == 0o600
            run = await orchestrator.submit(graph_that_waits())
            await run.approve("ask")
            await run.wait()
    assert list((tmp_path / "fleets").iterdir()) == []


async def test_a_fleet_in_a_journal_in_memory_is_not_kept(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with Orchestrator.local(devices=1, kind="process", home=tmp_path) as orchestrator:
            await orchestrator.submit(graph_that_waits())
    assert list((tmp_path / "fleets").iterdir()) == []


async def test_a_fleet_is_kept_for_its_run_and_comes_back_elsewhere_when_its_port_is_taken(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with anyio.fail_after(60):
        async with Orchestrator.local(
            devices=2, kind="process", tools=[TOOLS], journal=journal, home=tmp_path
        ) as orchestrator:
            graph = graph_that_waits()
            graph.star("sum", "add", a=1, b=2, after=["ask"])
            run = await orchestrator.submit(graph)
        (folder,) = (tmp_path / "fleets").iterdir()
        noted = json.loads((folder / "fleet.json").read_text())
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        noted["port"] = listener.extra(anyio.abc.SocketAttribute.local_port)
        (folder / "fleet.json").write_text(json.dumps(noted))
        survivor_state = noted["devices"][0]["state_dir"]
        async with listener:
            with device_like(tmp_path, survivor_state) as pid:  # which is there, but can't come back
                async with Orchestrator.reopen(run.id, journal=journal, home=tmp_path) as orchestrator:
                    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
                    assert len(await orchestrator.devices()) == 2
                    again = await orchestrator.resume(run.id)
                    await again.approve("ask")
                    assert await again.result() == {"sum": 3}
    assert list((tmp_path / "fleets").iterdir()) == []


@pytest.mark.parametrize("fleet", ["../../elsewhere", "/etc", "a-b", ""])
async def test_the_id_of_a_fleet_is_not_taken_for_a_path(tmp_path: Path, fleet: str) -> None:
    with pytest.raises(CannotResume, match="no id of devices"):
        fleets._folder(tmp_path, fleet)


@pytest.mark.parametrize("content", [None, b"", b'{"tokens": {"d": 5}, "port": "the-secret-token"}'])
async def test_a_fleet_that_is_gone_or_can_not_be_read_is_named_without_its_tokens(
    tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "fleets" / "1a-0123456789ab"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "fleet.json").write_bytes(content)
    with pytest.raises(CannotResume, match="1a-0123456789ab") as refusal:
        fleets._read(folder)
    assert "secret-token" not in str(refusal.value)


async def test_a_run_without_devices_of_its_own_is_not_reopened(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    async with Orchestrator.local(devices=1, journal=journal, home=tmp_path) as orchestrator:
        run = await orchestrator.submit(graph_that_waits())
    with pytest.raises(CannotResume, match="can be started again"):
        async with Orchestrator.reopen(run.id, journal=journal, home=tmp_path):
            pass


async def test_devices_that_can_not_be_started_are_named_and_leave_nothing(tmp_path: Path) -> None:
    def here() -> None:
        return None

    with pytest.raises(DeviceUnsuited, match="module:attr"):
        async with Orchestrator.local(devices=1, kind="process", tools=[here], home=tmp_path):
            pass
    with pytest.raises(OSError, match="no_such_file"):
        async with Orchestrator.local(devices=2, kind="process", tools=["no_such_file.py"], home=tmp_path):
            pass
    assert list((tmp_path / "fleets").iterdir()) == []
    with pytest.raises(UnknownDeviceKind, match=r"installed are .*local"):
        async with Orchestrator.local(devices=1, kind="imaginary", home=tmp_path):
            pass


async def test_devices_being_started_are_stopped_when_the_start_is_cancelled(tmp_path: Path) -> None:
    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    before = children()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:

            async def start() -> None:
                async with Orchestrator.local(devices=3, kind="process", home=tmp_path):
                    raise AssertionError("it was cancelled before")

            tasks.start_soon(start)
            while not children() - before:
                await anyio.sleep(0.001)  # there is nothing to wait on: a process appears
            tasks.cancel_scope.cancel()
    assert children() <= before
    assert list((tmp_path / "fleets").iterdir()) == []


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_tokens_are_in_nothing_that_a_run_writes_or_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("CONSTELLATION_TOKEN", "a-secret-of-the-user-0123456789")
    told: list[Any] = []
    journal = tmp_path / "journal.db"
    with anyio.fail_after(60):
        async with Orchestrator.local(
            devices=2, kind="process", tools=[TOOLS], journal=journal, home=tmp_path
        ) as orchestrator:
            secrets = {*orchestrator._book.hub.door.issued.values(), "a-secret-of-the-user-0123456789"}
            graph = graph_that_waits()
            env = "import os; print(dict(os.environ))"
            graph.star("look", "python_run", code=env, after=["ask"])
            graph.star("broken", "fail", after=["look"])
            run = await orchestrator.submit(graph)
            await run.approve("ask")
            told += [repr(event) + json.dumps(event.as_json(), default=str) async for event in run.events()]
            report = await run.wait()
            told += [repr(report), repr(await orchestrator.devices()), repr(vars(orchestrator))]
            (folder,) = (tmp_path / "fleets").iterdir()
            files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            assert any(
                isinstance(event, StarSettled) and event.star == "look" for event in [e async for e in run.events()]
            )
            assert {row.id: row.state for row in report.rows}["look"] == "succeeded"
    assert len(secrets) == 3
    assert any(path.name == "device.log" for path in files)
    for secret in secrets:
        holding = [path for path, content in files.items() if secret.encode() in content]
        assert holding in ([], [folder / "fleet.json"])  # which is its owner's only, and goes with the fleet
        assert secret not in "".join(told)
        assert secret not in caplog.text


def test_what_carries_out_prompts_is_noted_with_the_devices() -> None:
    agents = (
        ModelAgent("openai/gpt-5", budget_usd=Decimal("0.10"), allow=["a*"], ask=[], deny=[]),
        A2AAgent("https://agent"),
        None,
    )
    noted = fleets.FleetFile(
        kind="process",
        port=1,
        tokens={},
        devices=[DeviceSpec(f"d{at}", agent=agent) for at, agent in enumerate(agents)],
    )
    read = fleets.FleetFile.model_validate_json(noted.model_dump_json())
    assert tuple(device.agent for device in read.devices) == agents
