"""The python toolkit: a fresh interpreter, tracebacks of the snippet alone, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from constellation_tools import ToolTimeout
from constellation_tools.toolkits.processes import ProcessLimits
from constellation_tools.toolkits.sandbox import Sandbox

from .running import Sleeper, both_confinements, python

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


@both_confinements
async def test_a_snippet_runs_in_a_fresh_interpreter_below_the_root(tmp_path: Path, sandbox: Sandbox | None) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working directory')")
    code = "import json, os, sys, pydantic\nprint(json.dumps([os.getcwd(), sys.argv, __name__, input()]))"
    result = await python(tmp_path, code, stdin="typed\n", sandbox=sandbox)
    assert result["stderr"] == ""
    assert result["stdout"] == f'["{tmp_path}", ["<snippet>"], "__main__", "typed"]\n'
    assert result["exit_code"] == 0
    assert result["confinement"] == ("bubblewrap" if sandbox else "limits")


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


@both_confinements
@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (ProcessLimits(address_space_bytes=256 * 1024**2), "b = bytearray(1024**3)", "MemoryError"),
        (
            ProcessLimits(file_bytes=1000),
            "open('big', 'wb', 0).write(b'x' * 5000); open('big','ab',0).write(b'x')",
            "large",
        ),
        (ProcessLimits(output_bytes=100), "print('x' * 10_000); raise SystemExit(1)", ""),
    ],
    ids=["address space", "file size", "output"],
)
async def test_a_snippet_is_held_to_its_limits(
    tmp_path: Path, limits: ProcessLimits, code: str, says: str, sandbox: Sandbox | None
) -> None:
    result = await python(tmp_path, code, limits=limits, sandbox=sandbox)
    assert result["exit_code"] != 0
    assert says in result["stderr"]
    assert result["truncated"] == (not says)
    assert not (tmp_path / "big").exists() or (tmp_path / "big").stat().st_size <= 1000


async def test_a_snippet_is_stopped_by_its_cpu_limit(tmp_path: Path) -> None:
    result = await python(tmp_path, "while True: pass", limits=ProcessLimits(cpu_s=1))
    assert result["exit_code"] < 0


async def test_a_snippet_sees_a_limit_on_processes(tmp_path: Path) -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    allowed = [int((await python(tmp_path, code, limits=ProcessLimits(processes=n)))["stdout"]) for n in (10, 1000)]
    assert 10 < allowed[0] < 1000 < allowed[1]


@both_confinements
async def test_a_snippet_that_takes_too_long_is_killed_with_its_children(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    sleeper = Sleeper()
    code = (
        "import subprocess\n"
        f"child = subprocess.Popen(['sleep', '{sleeper.seconds}'], start_new_session=True)\n"
        "print('started', flush=True)\n"
        "child.wait()"
    )
    with pytest.raises(ToolTimeout) as caught:
        await python(tmp_path, code, timeout_s=5, sandbox=sandbox)
    assert caught.value.output == "started\n"
    assert not sleeper.alive()
