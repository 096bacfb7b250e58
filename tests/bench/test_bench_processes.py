"""Measuring in a process of its own: answers come back, failures say why, and nothing is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import psutil
import pytest

from constellation_bench.errors import ProcessFailed, ProcessTimedOut
from constellation_bench.machine import file_system, host
from constellation_bench.processes import measured_apart

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

WAIT_S = 60.0

MODULE = '''"""What tests have measured."""
import os, pathlib, subprocess, sys, time

def answer(number, folder):
    pathlib.Path(folder, "file").write_text("x")
    return {"number": number, "folder": str(folder), "pid": os.getpid()}

def command_line(secret, folder):
    return sys.orig_argv

def fail(folder):
    raise ValueError("this is why")

def fail_together(folder):
    raise ExceptionGroup("several", [ValueError("this is one of the reasons")])

def die(folder):
    os._exit(7)

def wait(ready, folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    ready = pathlib.Path(ready)
    ready.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
    ready.with_suffix(".part").rename(ready)
    time.sleep(600)

def die_and_leave(ready, folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(ready).write_text(str(child.pid))
    os._exit(7)

def leave(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return child.pid
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that the other process can import."""
    (tmp_path / "measured_things.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


async def measured(function: str, within: Path, *, timeout_s: float = WAIT_S, **arguments: object) -> object:
    return await measured_apart(f"measured_things:{function}", arguments, within=within, timeout_s=timeout_s)


async def test_a_function_is_called_elsewhere_with_a_directory_that_is_gone_afterwards(tmp_path: Path) -> None:
    answer = await measured("answer", tmp_path, number=3)
    assert isinstance(answer, dict)
    assert answer["number"] == 3
    assert answer["pid"] != psutil.Process().pid
    assert Path(answer["folder"]).is_relative_to(tmp_path)
    assert not Path(answer["folder"]).exists()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fail", "ended with 1: ValueError: this is why"),
        ("fail_together", "ended with 1: ValueError: this is one of the reasons"),
        ("die", "ended with 7: it said nothing"),
    ],
)
async def test_one_that_fails_says_so_with_the_last_thing_that_it_said(
    function: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ProcessFailed) as caught:
        await measured(function, tmp_path)
    assert str(caught.value) == message


def gone(pid: int) -> bool:
    """Whether a process is no more."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with pytest.raises(ProcessTimedOut, match="took longer than 3 s"):
        await measured("wait", tmp_path, ready=str(ready), timeout_s=3.0)
    assert all(gone(int(pid)) for pid in ready.read_text().split())


async def test_one_that_is_cancelled_is_gone_with_all_that_it_has_started(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: measured("wait", tmp_path, ready=str(ready)))
            while not ready.exists():
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    assert all(gone(int(pid)) for pid in ready.read_text().split())


async def test_what_a_function_leaves_running_is_killed(tmp_path: Path) -> None:
    pid = await measured("leave", tmp_path)
    assert isinstance(pid, int)
    assert gone(pid)


async def test_what_a_process_that_died_had_started_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with pytest.raises(ProcessFailed, match="ended with 7"):
        await measured("die_and_leave", tmp_path, ready=str(ready))
    assert gone(int(ready.read_text()))


async def test_the_machine_is_told_as_json(tmp_path: Path) -> None:
    machine = json.loads(json.dumps(host()))
    assert machine["cpus"] >= 1
    assert machine["memory_gib"] > 0
    assert file_system(tmp_path) == file_system(tmp_path / "not" / "there")
    assert file_system(Path("/proc/self")) in ("proc", "unknown")


async def test_arguments_are_on_no_command_line_where_other_users_would_read_them(tmp_path: Path) -> None:
    secret = "postgresql://ann:hunter2-a81f3c@db/work"
    shown = await measured_apart("measured_things:command_line", {"secret": secret}, within=tmp_path, timeout_s=WAIT_S)
    assert "measured_things:command_line" in shown
    assert not [word for word in shown if "hunter2" in word]
