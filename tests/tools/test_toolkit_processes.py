"""The shell and python toolkits: results, limits, and that no process outlives its call."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil
import pytest

from constellation_tools import Confined, InvalidArguments, ToolFailed, ToolTimeout
from constellation_tools.toolkits import python_tools, shell_tools
from constellation_tools.toolkits.python import PythonLimits

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


async def shell(root: Path, *argv: str, **options: Any) -> Any:
    return await shell_tools(root).get("shell_run").call({"argv": list(argv), **options})


async def python(root: Path, code: str, *, limits: PythonLimits | None = None, **options: Any) -> Any:
    return await python_tools(root, limits=limits).get("python_run").call({"code": code, **options})


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for something outside of this process, which can only be looked at."""
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


async def test_a_program_runs_in_the_root_with_its_input_and_gives_its_output(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    result = await shell(tmp_path, "sh", "-c", "pwd; cat; echo oops >&2; exit 3", cwd="sub", stdin="héllo\n")
    assert result.pop("duration_s") > 0
    assert result == {
        "exit_code": 3,
        "stdout": f"{tmp_path}/sub\nhéllo\n",
        "stderr": "oops\n",
        "truncated": False,
    }


async def test_arguments_are_not_a_command_line(tmp_path: Path) -> None:
    assert (await shell(tmp_path, "echo", "$HOME; echo *", "`id`"))["stdout"] == "$HOME; echo * `id`\n"
    with pytest.raises(InvalidArguments, match="argv"):
        await shell_tools(tmp_path).get("shell_run").call({"argv": "echo hi"})
    with pytest.raises(InvalidArguments, match="argv"):
        await shell(tmp_path)


async def test_the_environment_is_clean_but_for_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    result = await shell(tmp_path, "env", env={"GIVEN": "1"})
    names = {line.partition("=")[0] for line in result["stdout"].splitlines()}
    assert "GIVEN=1" in result["stdout"]
    assert f"HOME={tmp_path}" in result["stdout"]
    assert names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "HOME", "GIVEN", "CONSTELLATION_CALL"}


@pytest.mark.parametrize("cwd", ["..", "/", "out"])
async def test_the_working_directory_stays_inside(tmp_path: Path, cwd: str) -> None:
    (tmp_path / "out").symlink_to("/")
    with pytest.raises(Confined):
        await shell(tmp_path, "pwd", cwd=cwd)
    with pytest.raises(ToolFailed, match="'missing'"):
        await shell(tmp_path, "pwd", cwd="missing")


async def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a program")
    with pytest.raises(ToolFailed, match="no program 'no-such-program'"):
        await shell(tmp_path, "no-such-program")
    with pytest.raises(ToolFailed, match=r"'\./data' can't be started: .*ermission"):
        await shell(tmp_path, "./data")
    with pytest.raises(ToolFailed, match="can't be started"):
        await shell(tmp_path, "echo", "a\0b")


async def test_long_output_keeps_its_start_and_its_end(tmp_path: Path) -> None:
    made = shell_tools(tmp_path, output_limit_bytes=20).get("shell_run")
    program = "import sys; print('start' + 'x' * 1_000_000 + 'end'); print('short', file=sys.stderr)"
    with anyio.fail_after(20):
        result = await made.call({"argv": [sys.executable, "-c", program]})
    assert result["stdout"].startswith("startxxxxx\n[... 999989 bytes left out ...]\n")
    assert result["stdout"].endswith("xxxend\n")
    assert result["stderr"] == "short\n"
    assert result["truncated"]


async def test_input_that_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    assert (await shell(tmp_path, "true", stdin="x" * 1_000_000))["exit_code"] == 0


async def test_a_time_limit_kills_the_program_and_shows_what_it_said(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"'shell_run' did not finish within 0\.3 s.*\nbusy") as caught:
        await shell(tmp_path, "sh", "-c", "echo busy; sleep 60", timeout_s=0.3)
    assert caught.value.timeout_s == 0.3
    assert time.monotonic() - started < 10


LEAVERS = {
    "same group": "sleep 60 & echo $! > pid; wait $!",
    "own session": "setsid sh -c 'echo $$ > pid; exec sleep 60' & sleep 60",
    "ignores signals": "trap '' TERM INT HUP; echo $$ > pid; while true; do sleep 60; done",
    "orphan": "(sh -c 'echo $$ > pid; exec sleep 60' &) ; sleep 60",
}


@pytest.mark.parametrize("script", LEAVERS.values(), ids=LEAVERS)
async def test_cancelling_a_call_kills_the_whole_family(tmp_path: Path, script: str) -> None:
    written = tmp_path / "pid"
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: shell(tmp_path, "sh", "-c", script))
            await wait_for(lambda: written.exists() and written.read_text().endswith("\n"))
            pid = int(written.read_text())
            assert alive(pid)
            group.cancel_scope.cancel()
    assert not alive(pid)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6, 8, 12, 20, 40])
async def test_a_call_that_is_cancelled_while_it_starts_leaves_nothing_behind(tmp_path: Path, steps: int) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: shell(tmp_path, "sh", "-c", "sleep 60 & sleep 60"))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
            time.sleep(0.001)  # noqa: ASYNC251 - lets the child run on while this process looks away
        group.cancel_scope.cancel()
    left = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(tmp_path) and process.info["status"] != psutil.STATUS_ZOMBIE:
            left.append(process)
            process.kill()
    assert not left


@pytest.mark.parametrize("start", ["", "setsid "], ids=["same session", "own session"])
async def test_children_that_outlive_their_program_are_killed_when_it_ends(tmp_path: Path, start: str) -> None:
    with anyio.fail_after(10):
        result = await shell(tmp_path, "sh", "-c", f"{start}sleep 60 & echo $!")
    assert result["exit_code"] == 0
    assert not alive(int(result["stdout"]))


async def test_calls_at_the_same_time_do_not_kill_each_other(tmp_path: Path) -> None:
    results: list[Any] = []

    async def run(text: str) -> None:
        results.append(await shell(tmp_path, "sh", "-c", f"sleep 0.{text}; echo {text}"))

    async with anyio.create_task_group() as group:
        for text in "135":
            group.start_soon(run, text)
    assert [result["stdout"] for result in results] == ["1\n", "3\n", "5\n"]


async def test_a_snippet_runs_in_a_fresh_interpreter_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working directory')")
    code = "import json, os, sys\nprint(json.dumps([os.getcwd(), sys.argv, __name__, input()]))"
    result = await python(tmp_path, code, stdin="typed\n")
    assert result["stderr"] == ""
    assert result["stdout"] == f'["{tmp_path}", ["<snippet>"], "__main__", "typed"]\n'
    assert result["exit_code"] == 0


@pytest.mark.parametrize(
    ("code", "line", "error"),
    [("x = 1\nx / 0", "    x / 0", "ZeroDivisionError"), ("a b", "    a b", "SyntaxError: invalid syntax")],
)
async def test_a_snippet_that_fails_shows_its_own_lines_only(tmp_path: Path, code: str, line: str, error: str) -> None:
    result = await python(tmp_path, code)
    assert result["exit_code"] == 1
    assert line in result["stderr"]
    assert error in result["stderr"]
    assert '"<string>"' not in result["stderr"]


async def test_a_snippet_exits_with_its_own_code(tmp_path: Path) -> None:
    assert (await python(tmp_path, "raise SystemExit(7)"))["exit_code"] == 7


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (PythonLimits(memory_bytes=256 * 1024**2), "b = bytearray(1024**3)", "MemoryError"),
        (
            PythonLimits(file_bytes=1000),
            "open('big', 'wb', 0).write(b'x' * 5000); open('big','ab',0).write(b'x')",
            "large",
        ),
        (PythonLimits(output_bytes=100), "print('x' * 10_000); raise SystemExit(1)", ""),
    ],
    ids=["memory", "file size", "output"],
)
async def test_a_snippet_is_held_to_its_limits(tmp_path: Path, limits: PythonLimits, code: str, says: str) -> None:
    result = await python(tmp_path, code, limits=limits)
    assert result["exit_code"] != 0
    assert says in result["stderr"]
    assert result["truncated"] == (not says)
    assert not (tmp_path / "big").exists() or (tmp_path / "big").stat().st_size <= 1000


async def test_a_snippet_is_stopped_by_its_cpu_limit(tmp_path: Path) -> None:
    result = await python(tmp_path, "while True: pass", limits=PythonLimits(cpu_s=1))
    assert result["exit_code"] < 0


async def test_a_snippet_sees_a_limit_on_processes(tmp_path: Path) -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    allowed = [int((await python(tmp_path, code, limits=PythonLimits(processes=n)))["stdout"]) for n in (10, 1000)]
    assert 10 < allowed[0] < 1000 < allowed[1]


async def test_a_snippet_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    with pytest.raises(ToolTimeout) as caught:
        await python(tmp_path, code, timeout_s=2)
    assert not alive(int(caught.value.output))
