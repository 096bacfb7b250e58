"""The system toolkit: the machine in numbers, its GPUs, processes and ports, and no secrets of theirs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from constellation_tools import InvalidArguments, ToolCancelled, ToolContext, ToolFailed, load_tool
from constellation_tools.toolkits import system_tools

TOOLS = system_tools()


def ask(name: str, /, **arguments: Any) -> Any:
    return TOOLS.get(f"system_{name}").call_sync(arguments, ToolContext())


@pytest.fixture
def secretive() -> Iterator[subprocess.Popen[str]]:
    """A process with a secret in its arguments and another in its environment, which listens on a port."""
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "--password=open sesame"],
        env={**os.environ, "API_KEY": "sk-secret"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_the_machine_is_told_in_numbers() -> None:
    profile = ask("profile")
    assert profile["cpus"] >= 1
    assert 0 < profile["memory_available_bytes"] <= profile["memory_bytes"] == psutil.virtual_memory().total
    load = ask("load", over_s=0.05)
    assert len(load["cpu_percents"]) == profile["cpus"]
    assert 0 <= load["cpu_percent"] <= 100
    disks = ask("disks")
    assert len({disk["path"] for disk in disks}) == len(disks)
    for disk in disks:
        assert 0 <= disk["free_bytes"] <= disk["bytes"]


def test_processes_are_found_by_name_and_user_and_listed_in_order() -> None:
    own = psutil.Process()
    everything = ask("processes", limit=500, sort_by="pid")
    pids = [each["pid"] for each in everything["processes"]]
    assert pids == sorted(pids)
    assert everything["total"] >= len(pids)
    mine = ask("processes", name=own.name(), user=own.username(), limit=500, sort_by="memory")["processes"]
    assert {(each["name"], each["user"]) for each in mine} == {(own.name(), own.username())}
    sizes = [each["memory_bytes"] for each in mine]
    assert sizes == sorted(sizes, reverse=True)
    assert next(each for each in mine if each["pid"] == own.pid)["age_s"] >= 0
    first = ask("processes", limit=1)
    assert (len(first["processes"]), first["truncated"]) == (1, True)
    assert ask("processes", name="no such name") == {"processes": [], "total": 0, "truncated": False}


def test_one_process_is_told_of_without_its_secrets(secretive: subprocess.Popen[str]) -> None:
    assert secretive.stdout is not None
    port = int(secretive.stdout.readline())
    details = ask("process", pid=secretive.pid)
    assert details["parent"] == os.getpid()
    assert details["directory"] == os.getcwd()
    assert details["program"] == psutil.Process(secretive.pid).exe()
    assert details["ports"] == [port]
    assert "API_KEY" in details["environment"]
    assert secretive.pid in ask("process", pid=os.getpid())["children"]
    told = str(details) + str(ask("processes", limit=500)) + str(ask("ports", limit=1000)) + str(ask("environment"))
    assert "sesame" not in told
    assert "sk-secret" not in told


def test_a_process_that_is_not_there_is_named(secretive: subprocess.Popen[str]) -> None:
    secretive.kill()
    secretive.wait()
    with pytest.raises(ToolFailed, match=f"there is no process {secretive.pid}"):
        ask("process", pid=secretive.pid)


def test_ports_that_something_listens_on_are_listed_and_others_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with socket.create_connection(server.getsockname()) as client:
            listed = {(each["protocol"], each["port"]): each for each in ask("ports", limit=1000)}
            assert ("tcp", client.getsockname()[1]) not in listed
        found = listed["tcp", server.getsockname()[1]]
        assert (found["address"], found["pid"], found["name"]) == ("127.0.0.1", os.getpid(), psutil.Process().name())
        assert listed["udp", udp.getsockname()[1]]["pid"] == os.getpid()
    assert len(ask("ports", limit=1)) <= 1


def test_variables_are_named_and_their_values_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_VARIABLE", "its value")
    names = ask("environment")
    assert "A_VARIABLE" in names
    assert "its value" not in names


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_gpus_are_told_as_nvidia_smi_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "0, NVIDIA H100, 81559, 512, 37, 41, 570.1\\n1, Odd, one, 1024, [N/A], [N/A], [N/A], 570.1\\nno gpu\\n"
    nvidia_smi(tmp_path, monkeypatch, f"printf '{lines}'")
    first, second = ask("gpus")
    assert first == {
        "index": 0,
        "name": "NVIDIA H100",
        "memory_bytes": 81559 * 1024**2,
        "memory_used_bytes": 512 * 1024**2,
        "utilization_percent": 37,
        "temperature_celsius": 41,
        "driver": "570.1",
    }
    assert (second["name"], second["memory_bytes"], second["utilization_percent"]) == ("Odd, one", 1024**3, None)


def test_a_driver_that_does_not_work_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, "echo 'no devices were found' >&2; exit 6")
    with pytest.raises(ToolFailed, match="nvidia-smi ended with 6: no devices were found"):
        ask("gpus")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert ask("gpus") == []


def test_limits_are_checked_and_a_list_can_be_stopped() -> None:
    for name, arguments in [("processes", {"limit": 501}), ("ports", {"limit": 0}), ("load", {"over_s": 60})]:
        with pytest.raises(InvalidArguments):
            ask(name, **arguments)
    context = ToolContext()
    context.cancel()
    with pytest.raises(ToolCancelled):
        TOOLS.get("system_processes").call_sync({}, context)


def test_worker_processes_can_load_each_of_them() -> None:
    for each in TOOLS:
        assert each.reference is not None
        assert load_tool(each.reference) is each
