"""MCP servers that are attached to a device: stars run their tools in a run, whatever language they are written in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from typer.testing import CliRunner

from constellation import DeviceSpec, Orchestrator, TaskConstellation
from constellation_devices.agent import DeviceAgent
from constellation_devices.cli import device
from constellation_devices.home import open_home
from constellation_devices.mcp_servers import attached_servers
from constellation_tools.mcp import McpServer, McpToolset

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("mcp"), pytest.mark.timeout(240)]

PATIENCE_S = 100.0
SERVERS = Path(__file__).parents[1] / "tools" / "mcp"
RAW = f"{sys.executable} {SERVERS / 'raw_server.py'}"
SDK = f"{sys.executable} {SERVERS / 'sdk_server.py'}"


@asynccontextmanager
async def hub_with_device(folder: Path, *options: str) -> AsyncIterator[Any]:
    """A hub, and one device process with these options."""
    command = [sys.executable, "-m", "constellation_devices", "--name", "attached", "--slots", "4", "--grace", "0"]
    with anyio.fail_after(PATIENCE_S):
        async with Orchestrator.serve(journal=folder / "runs.db", home=folder / "home") as hub:
            environment = {**os.environ, "CONSTELLATION_TOKEN": hub.token}
            async with await anyio.open_process(
                [*command, "--url", hub.url, "--linger", "5", *options], env=environment, stdout=None, stderr=None
            ) as process:
                try:
                    await hub.wait_for_devices(1)
                    yield hub
                finally:
                    process.terminate()
                    with anyio.CancelScope(shield=True):
                        await process.wait()


@pytest.mark.requires_node
async def test_stars_run_the_tools_of_mcp_servers_of_all_kinds(
    tmp_path: Path, node_program: Callable[[str], list[str]], everything_url: str
) -> None:
    (tmp_path / "a.txt").write_text("hello")
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"web": {"url": everything_url}}}))
    filesystem = " ".join([*node_program("mcp-server-filesystem"), str(tmp_path)])
    everything = " ".join(node_program("mcp-server-everything"))
    options = [f"fs={filesystem}", f"all={everything}", f"sdk={SDK}"]
    graph = TaskConstellation("servers")
    read = graph.star("read", "fs_read_text_file", path=str(tmp_path / "a.txt"))
    echo = graph.star("echo", "all_echo", message=read.output["content"])
    graph.star("write", "fs_write_file", path=str(tmp_path / "b.txt"), content=echo.output)
    graph.star("add", "sdk_add", a=1, b=2)
    graph.star("count", "sdk_count", to=3)
    graph.star("web", "web_echo", message="over HTTP")
    graph.star("picture", "web_get-tiny-image")
    graph.star("refused", "fs_read_text_file", path="/etc/passwd")
    arguments = [word for option in options for word in ("--mcp", option)]
    async with hub_with_device(tmp_path, *arguments, "--mcp-config", str(config)) as hub:
        run = await hub.submit(graph)
        told = [event.text async for event in run.events() if event.event == "star_progress"]
        report = await run.wait()
    errors = {row.id: row.error or "" for row in report.rows if row.error}
    assert list(errors) == ["refused"]
    assert errors["refused"].startswith("ToolFailed: ")
    assert "outside allowed directories" in errors["refused"]
    assert (tmp_path / "b.txt").read_text() == "Echo: hello"
    assert report.outputs["add"] == {"result": 3}
    assert report.outputs["count"] == "counted to 3"
    assert report.outputs["web"] == "Echo: over HTTP"
    assert report.outputs["picture"][1]["media_type"] == "image/png"
    assert "step 3" in "\n".join(text for text in told if text)


async def test_a_server_that_dies_under_a_star_fails_it_and_serves_the_next_one(tmp_path: Path) -> None:
    graph = TaskConstellation("deaths")
    die = graph.star("die", "raw_die")
    after = graph.star("after", "raw_echo", n=1)
    graph.line(die, after, "failure")
    async with hub_with_device(tmp_path, "--mcp", f"raw={RAW}") as hub:
        report = await (await hub.submit(graph)).wait()
    (failed,) = [row for row in report.rows if row.error]
    assert failed.error is not None
    assert failed.error.startswith("McpCallLost: the MCP server 'raw' was lost in the middle of the tool 'die'")
    assert report.outputs["after"] == '{"n": 1}'


async def test_a_star_that_is_cancelled_is_cancelled_at_the_server(tmp_path: Path) -> None:
    told = tmp_path / "told"
    graph = TaskConstellation("cancels")
    graph.star("hang", "raw_hang")
    async with hub_with_device(tmp_path, "--mcp", f"raw={RAW} good {told}") as hub:
        run = await hub.submit(graph)
        async for event in run.events():
            if event.event == "star_started":
                await run.cancel()
        report = await run.wait()
        while not told.exists():
            await anyio.sleep(0.01)
    assert report.state == "cancelled"
    assert "requestId" in json.loads(told.read_text())


async def test_what_a_device_offers_follows_its_server_which_takes_no_name_that_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = DeviceSpec(name="d", root=tmp_path / "root", state_dir=tmp_path / "state")
    server = McpServer(name="raw", prefix="", command=[*RAW.split(), "forgets-tools", str(tmp_path / "mark")])
    with open_home(spec, durable=False) as home, anyio.fail_after(PATIENCE_S):
        async with DeviceAgent(spec, home, worker_processes=False) as agent:
            async with attached_servers([server], agent, home.tools):
                before = {tool.name: tool for tool in agent.profile.tools}
                assert {"files_read", "die", "echo"} <= before.keys()
                await agent._tools["once"].call({})
                while "new" not in {tool.name for tool in agent.profile.tools}:
                    await anyio.sleep(0.01)
                after = {tool.name: tool for tool in agent.profile.tools}
    assert {"die", "hang", "once"} <= before.keys() - after.keys()
    assert after["files_read"] == before["files_read"]
    assert "the tool files_read of the MCP server 'raw' is left out: the name is taken" in caplog.text


async def test_tools_of_an_mcp_toolset_are_offered_by_devices_in_this_process(tmp_path: Path) -> None:
    server = McpServer(name="raw", command=RAW.split())
    graph = TaskConstellation("local")
    graph.star("echo", "raw_echo", n=1)
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(server) as tools:
            spec = DeviceSpec(name="d", tools=tuple(tools))
            async with Orchestrator.local(devices=[spec], journal=tmp_path / "runs.db") as orchestrator:
                assert await (await orchestrator.submit(graph)).result() == {"echo": '{"n": 1}'}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mcp", "no-such-server"], "'no-such-server' can't be started: there is no 'no-such-server'"),
        (["--mcp", f"{RAW} crashes-at-start"], "exited with code 1; its last words: no licence"),
        (["--mcp", RAW, "--mcp", RAW], "which this device has already: give the server a name"),
        (["--mcp", "https://user:secret@example.org/mcp"], "give it as a header instead"),
        (["--mcp-config", "/no/such/file"], "/no/such/file"),
    ],
)
def test_a_server_that_can_not_be_attached_is_one_clear_line_and_exit_code_2(options: list[str], words: str) -> None:
    app = typer.Typer()
    app.command("device")(device)
    result = CliRunner().invoke(app, ["--url", "ws://127.0.0.1:1", "--name", "d", "--linger", "0", *options])
    assert result.exit_code == 2, result.output
    assert words in result.stderr.replace("\n", " ")
    assert "secret" not in result.stderr
