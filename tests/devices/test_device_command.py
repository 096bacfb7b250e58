"""The command `constellation device`: what it takes, what it refuses, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from constellation_devices.cli import device

pytestmark = pytest.mark.anyio

COMMAND = [sys.executable, "-m", "constellation_devices"]


def invoke(*arguments: str) -> Any:
    import typer

    app = typer.Typer()
    app.command("device")(device)
    return CliRunner().invoke(app, list(arguments))


def said(result: Any) -> str:
    text: str = result.stderr.replace("\n", " ")
    return text


def test_the_entry_point_is_the_command() -> None:
    (entry,) = metadata.entry_points(group="constellation.commands", name="device")
    assert entry.load() is device


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "http://example.org"], "wss://host:port"),
        (["--url", "ws://127.0.0.1:1", "--name", "no spaces"], "no spaces"),
        (["--url", "ws://127.0.0.1:1", "--label", "colour"], "--label 'colour'"),
        (["--url", "ws://127.0.0.1:1", "--resource", "gpu=many"], "gpu=many"),
        (["--url", "ws://127.0.0.1:1", "--resource", "gpu=inf"], "gpu=inf"),
        (["--url", "ws://127.0.0.1:1", "--token-file", "/no/such/file"], "/no/such/file"),
        (["--url", "ws://127.0.0.1:1", "--token-file", os.devnull], "is empty"),
        (["--url", "ws://127.0.0.1:1", "--tools", "no_such_module"], "no_such_module"),
        (["--url", "ws://127.0.0.1:1", "--state-dir", "/dev/null/below"], "/dev/null/below"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(arguments: list[str], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert words in said(result)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [[], ["--url", "ws://127.0.0.1:1", "--slots", "0"]])
def test_options_are_checked_by_the_command_line(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_an_unencrypted_url_outside_this_machine_is_warned_of() -> None:
    result = invoke("--url", "ws://198.51.100.7:1", "--linger", "0", "--tools", "no_such_module")
    assert "not encrypted" in said(result)


def test_without_an_orchestrator_it_ends_when_its_time_is_over() -> None:
    result = invoke("--url", "ws://127.0.0.1:1", "--name", "lonely", "--linger", "0")
    assert result.exit_code == 0, result.output


@pytest.mark.e2e
async def test_a_wrong_token_is_refused_with_one_line_and_exit_code_1(socket_hub: Any, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("wrong\n")
    async with socket_hub(tokens={"d": "right"}) as hub:
        command = [*COMMAND, "--url", hub.url, "--name", "d", "--token-file", str(token_file)]
        with anyio.fail_after(30):
            ended = await anyio.run_process(command, check=False)
    assert ended.returncode == 1
    lines = ended.stderr.decode().strip().splitlines()
    assert "authentication" in lines[-1]
    assert "Traceback" not in ended.stderr.decode()
    assert b"wrong" not in ended.stderr


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_work_finish_and_ends_with_exit_code_0(
    socket_hub: Any, tmp_path: Path, sample_tools_file: Path, number: signal.Signals
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("right\n")
    gate, out = tmp_path / "gate", tmp_path / "out"
    async with socket_hub(tokens={"d": "right"}) as door:
        command = [*COMMAND, "--url", door.url, "--name", "d", "--token-file", str(token_file)]
        command += ["--tools", f"{sample_tools_file}:append_after", "--grace", "30"]
        async with await anyio.open_process(command, stdout=subprocess.DEVNULL, stderr=None) as process:
            hub = await door.session("d")
            attempt = await hub.assign("append_after", {"path": str(out), "gate": str(gate), "line": "done"})
            await hub.accepted(attempt)
            process.send_signal(number)
            await hub.until(lambda: [message for message in hub.seen if message.kind == "drain"])
            gate.touch()
            assert (await hub.result(attempt)).output == "done"
            assert number.name in await hub.until_closed()
            with anyio.fail_after(20):
                assert await process.wait() == 0


@pytest.mark.e2e
async def test_a_device_whose_disk_is_full_stops_and_says_so(
    socket_hub: Any, tmp_path: Path, sample_tools_file: Path
) -> None:
    program = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18)); " + (
        "runpy.run_module('constellation_devices', run_name='__main__', alter_sys=True)"
    )
    async with socket_hub(tokens={"d": "right"}) as door:
        command = [
            sys.executable,
            "-c",
            program,
            "--url",
            door.url,
            "--name",
            "d",
            "--state-dir",
            str(tmp_path / "state"),
        ]
        command += ["--tools", f"{sample_tools_file}:big_at_once", "--slots", "4"]
        # Coverage would be measured in it too, and could not be written down either.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
        environment = {**inherited, "CONSTELLATION_TOKEN": "right"}
        async with await anyio.open_process(command, env=environment, stdout=None) as process:
            hub = await door.session("d")
            try:
                for _ in range(4):
                    await hub.assign("big_at_once", {"size": 100_000})
                with anyio.fail_after(20):
                    assert await process.wait() == 1
                assert process.stderr is not None
                said = b"".join([piece async for piece in process.stderr]).decode().splitlines()
            finally:
                if process.returncode is None:
                    process.kill()
    assert "results can't be kept in" in said[-1]
    assert "Traceback" not in "".join(said)


@pytest.mark.e2e
async def test_a_second_signal_ends_it_at_once(
    socket_hub: Any,
    sample_tools_file: Path,
    tmp_path: Path,
    appearing: Callable[..., Any],
    vanishing: Callable[..., Any],
) -> None:
    marker = tmp_path / "pids"
    async with socket_hub(tokens={"d": "right"}) as door:
        command = [*COMMAND, "--url", door.url, "--name", "d", "--tools", str(sample_tools_file), "--grace", "600"]
        environment = {**os.environ, "CONSTELLATION_TOKEN": "right"}
        async with await anyio.open_process(
            command, stdout=subprocess.DEVNULL, stderr=None, env=environment
        ) as process:
            hub = await door.session("d")
            await hub.assign("sleep_with_child", {"marker": str(marker)})
            pids = [int(pid) for pid in (await appearing(marker)).split()]
            process.terminate()
            await hub.until(lambda: [message for message in hub.seen if message.kind == "drain"])
            process.terminate()
            with anyio.fail_after(20):
                assert await process.wait() == 0
            await vanishing(*pids)


@pytest.mark.e2e
async def test_a_drained_device_ends_with_exit_code_0(socket_hub: Any) -> None:
    from constellation_protocol import Drain

    async with socket_hub(tokens={"d": "right"}) as door:
        environment = {**os.environ, "CONSTELLATION_TOKEN": "right"}
        command = [*COMMAND, "--url", door.url, "--name", "d"]
        async with await anyio.open_process(
            command, stdout=subprocess.DEVNULL, stderr=None, env=environment
        ) as process:
            hub = await door.session("d")
            await hub.link.send(Drain(reason="no more work"))
            with anyio.fail_after(20):
                assert await process.wait() == 0


@pytest.mark.e2e
async def test_a_thread_that_never_ends_does_not_keep_the_device_alive(socket_hub: Any, tmp_path: Path) -> None:
    tools = tmp_path / "stuck_tools.py"
    tools.write_text(
        "import threading\nfrom constellation_tools import tool\n\n\n"
        "class Holder:\n    def hang(self) -> None:\n"
        "        '''Hang for ever.'''\n        threading.Event().wait()\n\n\n"
        "hang = tool(Holder().hang)\n"
    )
    async with socket_hub(tokens={"d": "right"}) as door:
        environment = {**os.environ, "CONSTELLATION_TOKEN": "right"}
        command = [*COMMAND, "--url", door.url, "--name", "d", "--tools", f"{tools}:hang", "--grace", "0"]
        async with await anyio.open_process(
            command, stdout=subprocess.DEVNULL, stderr=None, env=environment
        ) as process:
            hub = await door.session("d")
            attempt = await hub.assign("hang")
            await hub.accepted(attempt)
            process.terminate()
            with anyio.fail_after(20):
                assert await process.wait() == 0
            assert (await hub.result(attempt)).status == "cancelled"
