"""What programs and snippets try to get out of: their limits, their call, their environment, their sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest

from constellation_tools import ToolFailed
from constellation_tools.toolkits import shell_tools
from constellation_tools.toolkits.processes import ProcessLimits
from constellation_tools.toolkits.sandbox import Sandbox, bubblewrap

from .running import SANDBOX, Sleeper, both_confinements, python, shell, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

needs_bubblewrap = pytest.mark.requires("bwrap")


def start(program: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Another process of this user."""
    return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, env=env)


async def test_shell_metacharacters_in_arguments_are_plain_text(tmp_path: Path) -> None:
    nasty = ["$HOME; echo *", "`id`", "$(id)", "a && touch x", "| cat", "> out", "\n", "'\"", "~", "-n"]
    result = await shell(tmp_path, sys.executable, "-c", "import sys; print(sys.argv[1:])", *nasty)
    assert result["stdout"] == f"{nasty}\n"
    assert not list(tmp_path.iterdir())


async def test_a_nul_in_an_argument_or_a_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="NUL"):
        await shell(tmp_path, "echo", "a\0b")
    with pytest.raises(ToolFailed, match="NUL"):
        await shell(tmp_path, "env", env={"A": "x\0B=y"})


@both_confinements
async def test_nothing_that_is_open_here_is_open_in_a_program(tmp_path: Path, sandbox: Sandbox | None) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        result = await shell(tmp_path, "sh", "-c", "ls -l /proc/self/fd", sandbox=sandbox)
    assert "secret" not in result["stdout"]
    assert result["stdout"].count("->") == 4  # the three, and the directory that is listed


@both_confinements
async def test_a_fork_bomb_is_stopped_by_the_limit_on_processes(tmp_path: Path, sandbox: Sandbox | None) -> None:
    sleeper = Sleeper()
    bomb = (
        "import os, time\n"
        "for _ in range(9):\n"  # at most 512 of them, should nothing hold it
        "    os.fork()\n"
        f"os.execvp('sleep', ['sleep', '{sleeper.seconds}'])\n"
    )
    with anyio.fail_after(60):
        result = await python(tmp_path, bomb, limits=ProcessLimits(processes=40), sandbox=sandbox, timeout_s=50)
    assert result["limit"] == "processes"
    assert not sleeper.alive()


@both_confinements
async def test_memory_of_many_processes_is_added_up(tmp_path: Path, sandbox: Sandbox | None) -> None:
    # Each of them stays far below the limit.
    flood = (
        "import os, time\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        held = b'x' * (32 * 1024 * 1024)\n"
        "        time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    limits = ProcessLimits(memory_bytes=128 * 1024**2)
    with anyio.fail_after(50):
        result = await python(tmp_path, flood, limits=limits, sandbox=sandbox, timeout_s=40)
    assert result["limit"] == "memory"
    assert result["exit_code"] != 0


async def test_memory_that_processes_share_is_counted_once(tmp_path: Path) -> None:
    shared = (
        "import os, time\n"
        "held = b'x' * (48 * 1024 * 1024)\n"
        "for _ in range(7):\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.5)\n"
        "        os._exit(0)\n"
        "for _ in range(7): os.wait()\n"
    )
    result = await python(tmp_path, shared, limits=ProcessLimits(memory_bytes=256 * 1024**2))
    assert (result["limit"], result["exit_code"]) == (None, 0)


async def test_an_output_flood_is_thrown_away_as_it_comes(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    limits = ProcessLimits(output_bytes=10_000)
    result = await shell(tmp_path, "sh", "-c", "head -c 300000000 /dev/zero | tr '\\0' y", limits=limits, timeout_s=100)
    assert result["truncated"]
    assert len(result["stdout"]) < 11_000
    assert psutil.Process().memory_info().rss - before < 50 * 1024**2


DAEMONS = {
    "background": "sleep {} &",
    "nohup": "nohup sleep {} >/dev/null 2>&1 &",
    "setsid": "setsid sleep {} &",
    "double fork": "(setsid sh -c 'sleep {} &' &)",
    "double fork without environment": "(setsid env -i sh -c 'exec >/dev/null 2>&1 </dev/null; sleep {} &' &)",
}


@both_confinements
@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS)
async def test_no_child_outlives_its_call(tmp_path: Path, script: str, sandbox: Sandbox | None) -> None:
    sleeper = Sleeper()
    with anyio.fail_after(40):
        result = await shell(tmp_path, "sh", "-c", script.format(sleeper.seconds) + "\nsleep 0.2", sandbox=sandbox)
    assert result["exit_code"] == 0
    assert not sleeper.alive()


async def test_a_program_that_kills_its_supervisor_is_killed_itself(tmp_path: Path) -> None:
    sleeper = Sleeper()
    with anyio.fail_after(40), pytest.raises(ToolFailed, match="was killed, and the program with it"):
        await shell(tmp_path, "sh", "-c", f"setsid sleep {sleeper.seconds} & kill -9 $PPID; sleep {sleeper.seconds}")
    assert not sleeper.alive()


@both_confinements
async def test_programs_end_when_the_process_that_called_them_is_killed(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    sleeper = Sleeper()
    program = (
        "import anyio, pathlib\n"
        "from constellation_tools.toolkits import shell_tools\n"
        "from constellation_tools.toolkits.sandbox import Sandbox\n"
        f"tool = shell_tools(pathlib.Path({str(tmp_path)!r}), sandbox={sandbox!r}).get('shell_run')\n"
        f"anyio.run(tool.call, {{'argv': ['sh', '-c', 'setsid sleep {sleeper.seconds} & wait']}})\n"
    )
    with start(program) as caller:
        try:
            await wait_for(lambda: sleeper.alive() == 1)
        finally:
            caller.send_signal(signal.SIGKILL)
    await wait_for(lambda: not sleeper.alive())


@needs_bubblewrap
async def test_a_sandbox_shows_nothing_of_other_processes_and_their_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
    secret = f"secret-{os.getpid()}"
    with start("input()", env={"TOKEN": secret}) as other:
        assert other.stdin is not None
        try:
            await wait_for(lambda: psutil.Process(other.pid).environ().get("TOKEN") == secret)
            seen = await shell(tmp_path, "sh", "-c", script, sandbox=SANDBOX)
        finally:
            other.stdin.close()
    assert "CONSTELLATION_CALL" in seen["stdout"]
    assert secret not in seen["stdout"]
    assert str(os.getpid()) not in (await shell(tmp_path, "ls", "/proc", sandbox=SANDBOX))["stdout"].split()


@needs_bubblewrap
@pytest.mark.parametrize("way", ["", "/proc/self/root", "/proc/1/root", "/proc/self/cwd/.."])
async def test_a_sandbox_has_no_files_but_the_root_and_the_systems_programs(tmp_path: Path, way: str) -> None:
    inside = tmp_path / "root"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    for path in ("/etc/shadow", str(tmp_path / "secret"), str(Path.home() / ".bashrc"), __file__):
        result = await shell(inside, "cat", way + path, sandbox=SANDBOX)
        assert result["exit_code"] == 1, path
        assert "No such file" in result["stderr"] or "Permission denied" in result["stderr"], path
    assert (await shell(inside, "cat", "link", sandbox=SANDBOX))["exit_code"] == 1


@needs_bubblewrap
@pytest.mark.parametrize("place", ["/", "/usr", "/etc", "/dev", "/usr/bin", os.path.dirname(sys.executable)])
async def test_a_sandbox_can_write_to_the_root_only(tmp_path: Path, place: str) -> None:
    result = await shell(tmp_path, "sh", "-c", f"touch kept; touch {place}/constellation-was-here", sandbox=SANDBOX)
    assert result["exit_code"] != 0
    assert (tmp_path / "kept").exists()
    assert not Path(place, "constellation-was-here").exists()


@needs_bubblewrap
async def test_what_a_sandbox_writes_to_its_temporary_directory_is_bounded_and_gone(tmp_path: Path) -> None:
    fill = "for i in 1 2 3; do head -c 150000000 /dev/zero > /tmp/big$i || exit 9; done"
    result = await shell(tmp_path, "sh", "-c", fill, sandbox=SANDBOX, timeout_s=100)
    assert result["exit_code"] == 9
    assert "No space left" in result["stderr"]
    assert "big" not in (await shell(tmp_path, "ls", "/tmp", sandbox=SANDBOX))["stdout"]


@needs_bubblewrap
async def test_a_sandbox_has_a_network_only_where_its_owner_says_so(tmp_path: Path) -> None:
    code = "import socket, sys; socket.create_connection(('127.0.0.1', int(input())), timeout=20); print('connected')"
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = str(listener.extra(anyio.abc.SocketAttribute.local_port))
        cut = await python(tmp_path, code, stdin=port, sandbox=SANDBOX)
        let = await python(tmp_path, code, stdin=port, sandbox=Sandbox(required=True, network=True))
    assert cut["exit_code"] == 1
    assert "refused" in cut["stderr"] or "unreachable" in cut["stderr"]
    assert let["stdout"] == "connected\n"


@needs_bubblewrap
async def test_a_sandbox_gives_no_rights_and_no_further_namespaces(tmp_path: Path) -> None:
    rights = await shell(tmp_path, "sh", "-c", "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status", sandbox=SANDBOX)
    values = dict(line.split(":\t") for line in rights["stdout"].splitlines())
    assert values == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
    assert (await shell(tmp_path, "unshare", "--user", "true", sandbox=SANDBOX))["exit_code"] != 0


@needs_bubblewrap
async def test_more_of_the_machine_can_be_made_readable(tmp_path: Path) -> None:
    inside, models = tmp_path / "root", tmp_path / "models"
    inside.mkdir()
    models.mkdir()
    (models / "a.bin").write_text("weights")
    script = f"cat {models}/a.bin; touch {models}/b"
    result = await shell(inside, "sh", "-c", script, sandbox=Sandbox(required=True, readable=(models,)))
    assert result["stdout"] == "weights"
    assert "Read-only" in result["stderr"]


async def test_where_bubblewrap_does_not_work_a_required_sandbox_is_an_error_and_another_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    bubblewrap.cache_clear()
    try:
        with pytest.raises(ToolFailed, match=r"in a sandbox only, and bubblewrap does not work here.*uid map"):
            await shell_tools(tmp_path, sandbox=Sandbox(required=True)).get("shell_run").call({"argv": ["true"]})
        assert (await shell_tools(tmp_path).get("shell_run").call({"argv": ["true"]}))["confinement"] == "limits"
    finally:
        bubblewrap.cache_clear()
