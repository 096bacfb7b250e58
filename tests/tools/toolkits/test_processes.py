"""The shell toolkit: results, limits, and that no process outlives its call, in a sandbox and without one."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from constellation_tools import Confined, InvalidArguments, ToolFailed, ToolTimeout
from constellation_tools.toolkits import shell_tools
from constellation_tools.toolkits.processes import ProcessLimits
from constellation_tools.toolkits.sandbox import Sandbox

from .running import Sleeper, both_confinements, shell, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


@both_confinements
async def test_a_program_runs_in_the_root_with_its_input_and_gives_its_output(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    (tmp_path / "sub").mkdir()
    result = await shell(
        tmp_path, "sh", "-c", "pwd; cat; echo oops >&2; exit 3", cwd="sub", stdin="héllo\n", sandbox=sandbox
    )
    assert result.pop("duration_s") > 0
    assert result == {
        "exit_code": 3,
        "stdout": f"{tmp_path}/sub\nhéllo\n",
        "stderr": "oops\n",
        "truncated": False,
        "limit": None,
        "confinement": "bubblewrap" if sandbox else "limits",
    }


async def test_arguments_are_a_list_and_there_is_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidArguments, match="argv"):
        await shell_tools(tmp_path).get("shell_run").call({"argv": "echo hi"})
    with pytest.raises(InvalidArguments, match="argv"):
        await shell(tmp_path)


@both_confinements
async def test_the_environment_is_clean_but_for_what_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    result = await shell(tmp_path, "env", env={"GIVEN": "1"}, sandbox=sandbox)
    names = {line.partition("=")[0] for line in result["stdout"].splitlines()}
    assert "GIVEN=1" in result["stdout"]
    assert f"HOME={tmp_path}" in result["stdout"]
    known = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "HOME", "GIVEN", "CONSTELLATION_CALL", "PWD"}
    assert names <= known


@pytest.mark.parametrize("cwd", ["..", "/", "out"])
async def test_the_working_directory_stays_inside(tmp_path: Path, cwd: str) -> None:
    (tmp_path / "out").symlink_to("/")
    with pytest.raises(Confined):
        await shell(tmp_path, "pwd", cwd=cwd)
    with pytest.raises(ToolFailed, match="'missing'"):
        await shell(tmp_path, "pwd", cwd="missing")


@both_confinements
async def test_a_program_that_cannot_be_started_is_named(tmp_path: Path, sandbox: Sandbox | None) -> None:
    (tmp_path / "data").write_text("not a program")
    with pytest.raises(ToolFailed, match="no program 'no-such-program'"):
        await shell(tmp_path, "no-such-program", sandbox=sandbox)
    with pytest.raises(ToolFailed, match=r"'\./data' can't be started: .*ermission"):
        await shell(tmp_path, "./data", sandbox=sandbox)


async def test_long_output_keeps_its_start_and_its_end(tmp_path: Path) -> None:
    program = "import sys; print('start' + 'x' * 1_000_000 + 'end'); print('short', file=sys.stderr)"
    with anyio.fail_after(30):
        result = await shell(tmp_path, sys.executable, "-c", program, limits=ProcessLimits(output_bytes=20))
    assert result["stdout"].startswith("startxxxxx\n[... 999989 bytes left out ...]\n")
    assert result["stdout"].endswith("xxxend\n")
    assert result["stderr"] == "short\n"
    assert result["truncated"]


async def test_input_that_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    assert (await shell(tmp_path, "true", stdin="x" * 1_000_000))["exit_code"] == 0


async def test_a_program_that_a_signal_ends_says_which(tmp_path: Path) -> None:
    assert (await shell(tmp_path, "sh", "-c", "kill -9 $$"))["exit_code"] == -9


@both_confinements
async def test_a_time_limit_kills_the_program_and_shows_what_it_said(tmp_path: Path, sandbox: Sandbox | None) -> None:
    started = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"'shell_run' did not finish within 3 s.*\nbusy") as caught:
        await shell(tmp_path, "sh", "-c", "echo busy; sleep 60", timeout_s=3, sandbox=sandbox)
    assert caught.value.timeout_s == 3
    assert time.monotonic() - started < 20


LEAVERS = {
    "same group": "sleep {} & touch started; wait $!",
    "own session": "setsid sleep {} & touch started; sleep 60",
    "ignores signals": "trap '' TERM INT HUP; touch started; while true; do sleep {}; done",
    "orphan": "(sh -c 'sleep {} & touch started' &) ; sleep 60",
    "double fork without environment": "(setsid env -i sh -c 'sleep {} & touch started' &) & sleep 60",
}


@both_confinements
@pytest.mark.parametrize("script", LEAVERS.values(), ids=LEAVERS)
async def test_cancelling_a_call_kills_the_whole_family(tmp_path: Path, script: str, sandbox: Sandbox | None) -> None:
    sleeper = Sleeper()

    async def run() -> None:
        await shell(tmp_path, "sh", "-c", script.replace("{}", sleeper.seconds), sandbox=sandbox)

    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await wait_for((tmp_path / "started").exists)
            await wait_for(lambda: sleeper.alive() == 1)
            group.cancel_scope.cancel()
    assert not sleeper.alive()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6, 8, 12, 20, 40])
async def test_a_call_that_is_cancelled_while_it_starts_leaves_nothing_behind(tmp_path: Path, steps: int) -> None:
    sleeper = Sleeper()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: shell(tmp_path, "sh", "-c", f"sleep {sleeper.seconds} & sleep 60"))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
            time.sleep(0.003)  # noqa: ASYNC251 - lets the child run on while this process looks away
        group.cancel_scope.cancel()
    assert not sleeper.alive()


async def test_calls_at_the_same_time_do_not_kill_each_other(tmp_path: Path) -> None:
    results: list[Any] = []

    async def run(text: str) -> None:
        results.append((await shell(tmp_path, "sh", "-c", f"sleep 0.{text}; echo {text}"))["stdout"])

    async with anyio.create_task_group() as group:
        for text in "147":
            group.start_soon(run, text)
    assert sorted(results) == ["1\n", "4\n", "7\n"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_programs_run_on_trio_too(tmp_path: Path) -> None:
    assert (await shell(tmp_path, "echo", "hi"))["stdout"] == "hi\n"
    with pytest.raises(ToolTimeout):
        await shell(tmp_path, "sleep", "60", timeout_s=0.5)
