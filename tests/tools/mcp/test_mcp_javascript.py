"""Servers, clients and the inspector in JavaScript: what others have written takes ours, and ours takes theirs."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_tools import Artifact, InvalidArguments, ToolFailed
from constellation_tools.mcp import Elicitation, ElicitationAnswer, McpServer, McpToolset

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_node, pytest.mark.timeout(240)]

PATIENCE_S = 100.0
HERE = Path(__file__).parent
KIT = HERE / "kit.py"
SERVE = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())", "tools", "serve"]

NodeProgram = Callable[[str], list[str]]
Program = Callable[..., AbstractContextManager[str]]


@asynccontextmanager
async def entered(server: McpServer, **options: Any) -> AsyncIterator[McpToolset]:
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(server, **options) as toolset:
            yield toolset


def printed(command: list[str]) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def url(serving_program: Program) -> Iterator[str]:
    with serving_program(*SERVE, str(KIT), "--http", "127.0.0.1:0") as found:
        yield found


# --- their servers ----------------------------------------------------------------------------------------------------


async def test_the_filesystem_server_reads_and_writes_what_it_may(node_program: NodeProgram, tmp_path: Path) -> None:
    command = (*node_program("mcp-server-filesystem"), str(tmp_path))
    (tmp_path / "a.txt").write_text("first\nsecond\n")
    (tmp_path / "dot.png").write_bytes(b"\x89PNG\r\n")
    async with entered(McpServer(name="fs", command=command)) as tools:
        read = await tools.get("fs_read_text_file").call({"path": str(tmp_path / "a.txt"), "head": 1})
        assert read == {"content": "first"}
        await tools.get("fs_write_file").call({"path": str(tmp_path / "b.txt"), "content": "hello"})
        assert (tmp_path / "b.txt").read_text() == "hello"
        with pytest.raises(ToolFailed, match="outside allowed directories"):
            await tools.get("fs_read_text_file").call({"path": "/etc/passwd"})
        with pytest.raises(InvalidArguments, match="path: expected a value, it is required"):
            await tools.get("fs_read_text_file").call({})
        assert tools.get("fs_read_text_file").output_schema is not None


async def check_everything(tools: McpToolset, reports: Any) -> None:
    assert await tools.get("all_echo").call({"message": "hi"}) == "Echo: hi"
    assert "12" in await tools.get("all_get-sum").call({"a": 5, "b": 7})
    words, picture, _ = await tools.get("all_get-tiny-image").call({}, reports.context)
    assert "image" in words
    assert reports.context.path(Artifact.from_json(picture)).read_bytes().startswith(b"\x89PNG")
    weather = await tools.get("all_get-structured-content").call({"location": "Chicago"})
    assert set(weather) == {"temperature", "conditions", "humidity"}
    links = await tools.get("all_get-resource-links").call({"count": 2})
    assert [each["type"] for each in links if isinstance(each, dict)] == ["resource_link"] * 2
    done = await tools.get("all_trigger-long-running-operation").call({"duration": 0.2, "steps": 2}, reports.context)
    assert "completed" in done
    assert [fraction for _, fraction, _ in reports.lines if fraction is not None][-1] == 1.0
    listed = await tools.get("all_list_resources").call({})
    assert listed
    text = next(each["uri"] for each in listed if each.get("mimeType", "").startswith("text/"))
    assert await tools.get("all_read_resource").call({"uri": text})


async def test_the_server_everything_is_a_toolset_over_stdio(node_program: NodeProgram, reports: Any) -> None:
    asked: list[Elicitation] = []

    async def elicit(question: Elicitation) -> ElicitationAnswer:
        asked.append(question)
        return ElicitationAnswer("decline")

    server = McpServer(name="all", command=node_program("mcp-server-everything"))
    async with entered(server, elicit=elicit) as tools:
        await check_everything(tools, reports)
        assert "declined" in str(await tools.get("all_trigger-elicitation-request").call({})).lower()
        progress = len(reports.lines)
        report = await tools.get("all_simulate-research-query").call({"topic": "tea"}, reports.context)
        assert "# Research Report" in report
        assert any(text for text, _, _ in reports.lines[progress:])
    assert asked


async def test_the_server_everything_is_a_toolset_over_http(everything_url: str, reports: Any) -> None:
    async with entered(McpServer(name="all", url=everything_url)) as tools:
        await check_everything(tools, reports)


# --- their clients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_sdk_of_typescript_is_served(generation: str, transport: str, url: str) -> None:
    where = [url] if transport == "http" else [*SERVE, str(KIT)]
    answers = printed(["node", str(HERE / "node" / "check.mjs"), generation, transport, *where])
    assert "double" in answers["tools"]
    assert answers["doubled"]["structuredContent"] == {"result": 8}
    assert answers["bad"]["isError"]
    assert "n: expected a valid integer" in answers["bad"]["content"][0]["text"]
    assert answers["worked"]["content"][0]["text"] == "done"
    told = [each["progress"] for each in answers["progress"]]
    assert told[0] == 1 / 3
    assert told == [1 / 3, 2 / 3, 1][: len(told)]  # these clients drop what arrives together with the result
    assert answers["read"] == "dear diary"
    assert base64.b64decode(answers["painted"]["content"][1]["data"]) == b"\x89PNG\r\n"


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_inspector_finds_nothing_wrong(transport: str, node_program: NodeProgram, url: str) -> None:
    where = [url, "--transport", "http"] if transport == "http" else [*SERVE, str(KIT)]
    inspector = [*node_program("mcp-inspector"), "--cli", *where]
    listed = printed([*inspector, "--method", "tools/list"])["tools"]
    assert {tool["name"] for tool in listed} >= {"double", "pack", "launch"}
    call = [*inspector, "--method", "tools/call", "--tool-name"]
    assert printed([*call, "double", "--tool-arg", "n=4"])["structuredContent"] == {"result": 8}
    packed = printed([*call, "pack", "--tool-arg", 'boxes=[{"width": 1}, {"width": 2}]'])
    assert packed["structuredContent"] == {"width": 3, "name": "all"}
    assert printed([*inspector, "--method", "resources/list"]) == {"resources": []} or transport == "http"
