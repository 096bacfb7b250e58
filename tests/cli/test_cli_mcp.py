"""`constellation mcp` and `constellation tools serve`: a hub and a module as MCP servers, and how mistakes are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import Orchestrator
from constellation.cli import main
from constellation_tools import ToolContext, ToolFailed
from constellation_tools.mcp import McpServer, McpToolset

pytestmark = [pytest.mark.anyio, pytest.mark.requires_module("mcp")]

PATIENCE_S = 100.0
CONSTELLATION = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())"]
KIT = Path(__file__).parents[1] / "tools" / "mcp" / "kit.py"
Err = pytest.CaptureFixture[str]

HELLO: dict[str, Any] = {
    "name": "hello",
    "stars": {
        "first": {"work": {"tool": "double", "arguments": {"n": 2}}},
        "second": {"work": {"tool": "double", "arguments": {"n": {"$ref": "first"}}}},
    },
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# --- a hub ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hub_over_mcp(folder: Path) -> AsyncIterator[McpToolset]:
    """A hub with one device process, and its tools over MCP."""
    device = [sys.executable, "-m", "constellation_devices", "--name", "d", "--grace", "0", "--linger", "5"]
    with anyio.fail_after(PATIENCE_S):
        async with Orchestrator.serve(journal=folder / "runs.db", home=folder / "home") as hub:
            (folder / "token").write_text(hub.token)
            where = ["--hub", hub.url, "--token-file", str(folder / "token")]
            environment = {**os.environ, "CONSTELLATION_TOKEN": hub.token}
            command = [*device, "--url", hub.url, "--tools", str(KIT)]
            async with (
                await anyio.open_process(command, env=environment, stdout=None, stderr=None) as process,
                McpToolset(McpServer(command=[*CONSTELLATION, "mcp", *where])) as tools,
            ):
                try:
                    await hub.wait_for_devices(1)
                    yield tools
                finally:
                    process.terminate()
                    with anyio.CancelScope(shield=True):
                        await process.wait()


@pytest.mark.e2e
async def test_a_hub_is_asked_over_mcp(tmp_path: Path) -> None:
    lines: list[str | None] = []
    shares: list[float | None] = []

    def progress(text: str | None, fraction: float | None, data: object) -> None:
        lines.append(text)
        shares.append(fraction)

    context = ToolContext(progress=progress)
    async with hub_over_mcp(tmp_path) as tools:

        async def ask(name: str, **arguments: Any) -> Any:
            answer = await tools.get(name).call(arguments, context)
            return answer["result"] if answer.keys() == {"result"} else answer

        (found,) = await ask("list_devices")
        assert (found["name"], found["free_slots"], "double" in found["tools"]) == ("d", 1, True)

        assert await ask("check_graph", graph=HELLO) == []
        misspelt = {"name": "x", "stars": {"a": {"work": {"tool": "duble"}}}}
        (problem,) = await ask("check_graph", graph=misspelt)
        assert (problem["star"], problem["path"]) == ("a", ["work", "tool"])
        assert "did you mean 'double'" in problem["message"]
        for graph, reason in [
            ({"name": "x", "stars": {"a": {"wrk": {}}}}, "stars.a.wrk: there is no such field; did you mean 'work'"),
            ({"name": "x", "stars": {}}, "has no stars"),
            (misspelt, "did you mean 'double'"),
        ]:
            with pytest.raises(ToolFailed, match=reason):
                await ask("submit_graph", graph=graph)

        run = (await ask("submit_graph", graph=HELLO))["run"]
        state = await ask("watch_run", run=run)
        assert (state["state"], state["outputs"], state["stars"]) == ("succeeded", {"second": 8}, {"succeeded": 2})
        assert any(line and line.startswith("second: succeeded on d") for line in lines)
        assert shares[-1] == 1.0
        assert await ask("run_result", run=run) == state
        assert [each["run"] for each in await ask("list_runs")] == [run]

        waiting = {"name": "w", "stars": {"a": {"work": {"tool": "wait", "arguments": {"mark": str(tmp_path / "m")}}}}}
        other = (await ask("submit_graph", graph=waiting))["run"]
        assert (await ask("watch_run", run=other, timeout_s=0.1))["state"] == "running"
        assert await ask("cancel_run", run=other, reason="enough") == "cancelled"
        ended = await ask("watch_run", run=other)
        assert (ended["state"], ended["failed"][0]["star"]) == ("cancelled", "a")
        with pytest.raises(ToolFailed, match=r"has ended|cancelled"):
            await ask("cancel_run", run=other)
        with pytest.raises(ToolFailed, match="no run 'nobody'"):
            await ask("run_result", run="nobody")
        assert not [name for name in tools.names if "approv" in name]


def test_a_hub_that_can_not_be_reached_is_told_before_anything_is_served(home: Path, capsys: Err) -> None:
    Path("token").write_text("a token of some length")
    assert main(["mcp", "--hub", "ws://127.0.0.1:9", "--token-file", "token"]) == 2
    assert "the hub at ws://127.0.0.1:9 can't be reached" in capsys.readouterr().err


# --- what is served where ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tools", "serve", "KIT", "--http", "0.0.0.0:0"], "a token and TLS"),
        (["tools", "serve", "KIT", "--http", "no-port"], "give HOST:PORT"),
        (["tools", "serve", "KIT", "--http", "127.0.0.1:99999"], "give HOST:PORT"),
        (["tools", "serve", "KIT", "--stdio", "--http", "127.0.0.1:0"], "give one of them"),
        (["tools", "serve", "KIT", "--host-name", "a"], "--host-name can only go with --http"),
        (
            ["tools", "serve", "KIT", "--http", "127.0.0.1:0", "--bearer-file", "none"],
            "--bearer-file none can't be read",
        ),
        (["tools", "serve", "KIT", "--http", "127.0.0.1:0", "--bearer-file", "short"], "16 characters"),
        (["tools", "serve", "KIT", "--policy", "none"], "--policy none can't be read"),
        (["tools", "serve", "KIT", "--policy", "short"], "policy"),
        (["tools", "serve", "no_such_module"], "no_such_module"),
        (["mcp", "--http", "127.0.0.1:0"], "give --bearer-file"),
        (["mcp", "--hub", "http://hub"], "is no hub's URL"),
    ],
)
def test_mistakes_are_told_in_a_line(home: Path, capsys: Err, arguments: list[str], words: str) -> None:
    Path("short").write_text("short")
    assert main([str(KIT) if word == "KIT" else word for word in arguments]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


@pytest.mark.e2e
def test_the_end_of_standard_input_is_the_end() -> None:
    done = subprocess.run([*CONSTELLATION, "tools", "serve", str(KIT)], input="", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.e2e
@pytest.mark.parametrize("options", [["--http", "127.0.0.1:0"], ["--stdio"]])
def test_ctrl_c_ends_it_at_once_and_in_silence(options: list[str]) -> None:
    pipe = subprocess.PIPE
    command = [*CONSTELLATION, "tools", "serve", str(KIT), *options]
    initialize = (
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
        b'"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}\n'
    )
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(initialize)
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read() == b""


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["ctrl-c", "end of input"])
def test_a_tool_that_does_not_stop_holds_nothing_up(how: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "stuck.py").write_text(
        "import time\nfrom pathlib import Path\nfrom constellation_tools import tool\n\n@tool\n"
        "def stick(mark: str) -> str:\n    Path(mark).touch()\n    time.sleep(1000)\n    return ''\n"
    )
    command = [*CONSTELLATION, "tools", "serve", str(tmp_path / "stuck.py")]
    messages: list[dict[str, Any]] = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "stick", "arguments": {"mark": str(mark)}}},
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if how == "ctrl-c":
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130
        else:
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0


@pytest.mark.e2e
async def test_a_policy_decides_what_may_be_called(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": "deny", "rules": [{"verdict": "allow", "tool": "double", "arguments": {"n": "2"}}]}')
    command = [*CONSTELLATION, "tools", "serve", str(KIT), "--policy", str(policy)]
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(McpServer(command=command)) as tools:
            assert await tools.get("double").call({"n": 2}) == {"result": 4}
            with pytest.raises(ToolFailed, match="double is not allowed here"):
                await tools.get("double").call({"n": 3})
