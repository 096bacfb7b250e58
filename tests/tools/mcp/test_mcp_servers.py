"""A server on the official SDK as a toolset, over standard input and output and over streamable HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_tools import Artifact, InvalidArguments, ToolFailed
from constellation_tools.mcp import (
    Elicitation,
    ElicitationAnswer,
    McpServer,
    McpToolset,
    McpUnavailable,
)

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("mcp")]

PATIENCE_S = 100.0

Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest, sdk_stdio: McpServer, sdk_url: str) -> McpServer:
    return sdk_stdio if request.param == "stdio" else McpServer(name="sdk", url=sdk_url)


@asynccontextmanager
async def entered(server: McpServer, **options: Any) -> AsyncIterator[McpToolset]:
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(server, **options) as toolset:
            yield toolset


async def test_results_come_as_text_structure_and_files(server: McpServer) -> None:
    async with entered(server) as tools:
        assert await tools.get("sdk_say").call({"text": "good day"}) == "good day"
        assert await tools.get("sdk_add").call({"a": 2}) == {"result": 3}
        assert await tools.get("sdk_find_place").call({"name": "hill"}) == {"name": "hill", "height_m": 12.5}
        text, picture = await tools.get("sdk_draw").call({})
        assert text == "a dot"
        assert Artifact.from_json(picture).media_type == "image/png"
        add = tools.get("sdk_add")
        assert add.description == "Add two numbers."
        assert add.output_schema is not None
        assert add.output_schema["properties"]["result"]["type"] == "integer"
        assert (add.idempotent, add.timeout_s, add.reference) == (False, 300.0, None)


async def test_bad_arguments_never_reach_the_server_and_its_failures_are_told(server: McpServer) -> None:
    async with entered(server) as tools:
        with pytest.raises(InvalidArguments, match="b: expected minimum number 0, got number -1"):
            await tools.get("sdk_add").call({"a": 1, "b": -1})
        with pytest.raises(ToolFailed, match="Error executing tool refuse"):
            await tools.get("sdk_refuse").call({})


async def test_progress_is_told_as_ours(server: McpServer, reports: Any) -> None:
    async with entered(server) as tools:
        assert await tools.get("sdk_count").call({"to": 4}, reports.context) == "counted to 4"
    assert sorted(reports.lines) == [(f"step {n}", n / 4, None) for n in range(1, 5)]


async def test_a_cancelled_call_is_cancelled_at_the_server(server: McpServer, tmp_path: Path, until: Until) -> None:
    mark = tmp_path / "mark"
    async with entered(server) as tools:
        async with anyio.create_task_group() as group:
            group.start_soon(tools.get("sdk_wait_until_told").call, {"mark": str(mark)})
            await until(Path(f"{mark}.begun").exists)
            group.cancel_scope.cancel()
        await until(Path(f"{mark}.cancelled").exists)
        assert await tools.get("sdk_say").call({"text": "still here"}) == "still here"


async def test_resources_are_listed_and_read_by_tools_and_from_python(server: McpServer, reports: Any) -> None:
    async with entered(server) as tools:
        listed = await tools.get("sdk_list_resources").call({})
        assert {each["uri"] for each in listed} == {"notes://today", "notes://dot"}
        assert await tools.get("sdk_read_resource").call({"uri": "notes://today"}) == "rain"
        dot = Artifact.from_json(await tools.read_resource("notes://dot", reports.context))
        assert reports.context.path(dot).read_bytes().startswith(b"\x89PNG")
        with pytest.raises(ToolFailed, match="refuses"):
            await tools.read_resource("notes://none")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ElicitationAnswer("accept", {"colour": "red"}), "accept: red"),
        (ElicitationAnswer("decline"), "decline"),
        (ElicitationAnswer("cancel"), "cancel"),
    ],
)
async def test_questions_are_put_to_whoever_answers_them(sdk_url: str, answer: ElicitationAnswer, told: str) -> None:
    asked: list[Elicitation] = []

    async def elicit(question: Elicitation) -> ElicitationAnswer:
        asked.append(question)
        return answer

    async with entered(McpServer(name="sdk", url=sdk_url), elicit=elicit) as tools:
        assert await tools.get("sdk_ask").call({}) == told
    (question,) = asked
    assert (question.server, question.message) == ("'sdk'", "Which colour?")
    assert question.schema is not None
    assert list(question.schema["properties"]) == ["colour"]


async def test_a_server_that_may_ask_nobody_is_told_so(sdk_url: str) -> None:
    async with entered(McpServer(name="sdk", url=sdk_url)) as tools:
        with pytest.raises(ToolFailed):
            await tools.get("sdk_ask").call({})


async def test_tools_follow_the_server(sdk_stdio: McpServer) -> None:
    changed = anyio.Event()
    async with entered(sdk_stdio, changed=lambda tools: changed.set()) as tools:
        assert "sdk_later" not in tools
        await tools.get("sdk_add_tool").call({"name": "later"})
        await changed.wait()
        assert await tools.get("sdk_later").call({}) == "here"


async def test_a_server_gets_none_of_our_secrets(sdk_stdio: McpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSTELLATION_TOKEN", "sesame")
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    server = McpServer(name="sdk", command=sdk_stdio.command, env={"GIVEN": "yes"})
    async with entered(server) as tools:
        names = (await tools.get("sdk_environment").call({})).split()
    assert "GIVEN" in names
    assert set(names) <= {"CONSTELLATION_CALL", "GIVEN", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ"}


async def test_a_url_at_which_nobody_listens_is_named() -> None:
    with pytest.raises(McpUnavailable, match=r"'127\.0\.0\.1:9' can't be used: it can't be reached"):
        async with entered(McpServer(url="http://127.0.0.1:9/mcp")):
            pass


# --- tasks ------------------------------------------------------------------------------------------------------------


async def test_a_call_that_becomes_a_task_is_followed_to_its_end(server: McpServer, reports: Any) -> None:
    async def elicit(question: Elicitation) -> ElicitationAnswer:
        return ElicitationAnswer("decline")

    async with entered(server, elicit=elicit) as tools:
        report = tools.get("sdk_report")
        assert await report.call({"how": "well"}, reports.context) == "a report"
        assert {text for text, _, _ in reports.lines} == {"now working"}
        assert await report.call({"how": "asks"}) == "a report in decline"
        with pytest.raises(ToolFailed, match="no ink"):
            await report.call({"how": "fails"})


async def test_a_task_that_nobody_waits_for_is_cancelled(server: McpServer, tmp_path: Path, until: Until) -> None:
    mark = tmp_path / "mark"
    async with entered(server) as tools:
        async with anyio.create_task_group() as group:
            group.start_soon(tools.get("sdk_report").call, {"how": str(mark)})
            await until(mark.exists)
            group.cancel_scope.cancel()
        await until(Path(f"{mark}.cancelled").exists)
