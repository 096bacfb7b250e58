"""A toolset of ours as a server, asked by the official client in the older and the newer form of the protocol."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import ElicitResult

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

PATIENCE_S = 100.0
KIT = Path(__file__).with_name("kit.py")
COMMAND = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())", "tools", "serve"]

Until = Callable[[Callable[[], object]], Awaitable[None]]
Program = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def url(serving_program: Program) -> Iterator[str]:
    with serving_program(*COMMAND, str(KIT), "--http", "127.0.0.1:0") as found:
        yield found


@pytest.fixture(params=["stdio-legacy", "stdio-auto", "http-legacy", "http-auto"])
def connect(request: pytest.FixtureRequest, url: str) -> Callable[..., Any]:
    transport, mode = request.param.split("-")

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[Client]:
        server: Any = url
        if transport == "stdio":
            server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], str(KIT)])
        with anyio.fail_after(PATIENCE_S):
            async with Client(server, mode=mode, **options) as client:
                yield client

    return opened


async def test_all_that_a_client_may_want_of_tools(
    connect: Any, tmp_path: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    """One test, because each server takes seconds to start."""
    async with connect() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        await check_declarations(tools)
        await check_results(client)
        await check_failures(client)
        await check_progress(client)
        await check_files(client)
        await check_cancellation(client, tmp_path / "mark", until)
    assert "Failed to parse" not in caplog.text  # what tools print is on no wire


async def check_declarations(tools: dict[str, Any]) -> None:
    assert list(tools)[:4] == ["double", "pack", "shout", "work"]
    assert len(tools) == 13
    double = tools["double"]
    assert double.description == "Double a number."
    assert double.input_schema["properties"] == {"n": {"type": "integer", "description": "The number."}}
    assert double.output_schema["properties"] == {"result": {"type": "integer"}}
    assert double.annotations.model_dump(exclude_none=True) == {
        "read_only_hint": True,
        "destructive_hint": False,
        "idempotent_hint": True,
        "open_world_hint": False,
    }
    assert tools["pack"].annotations.model_dump(exclude_none=True) == {
        "read_only_hint": False,
        "destructive_hint": True,
        "idempotent_hint": False,
        "open_world_hint": True,
    }
    assert tools["pack"].output_schema["properties"]["width"]["description"] == "In metres."
    assert tools["shout"].output_schema is None


async def check_results(client: Client) -> None:
    doubled = await client.call_tool("double", {"n": 4})
    assert (doubled.content[0].text, doubled.structured_content, doubled.is_error) == ("8", {"result": 8}, False)
    packed = await client.call_tool("pack", {"boxes": [{"width": 1}, {"width": 2.5, "name": "b"}]})
    assert packed.structured_content == {"width": 3.5, "name": "all"}
    assert json.loads(packed.content[0].text) == packed.structured_content
    shouted = await client.call_tool("shout", {"text": "hey"})
    assert (json.loads(shouted.content[0].text), shouted.structured_content) == ({"text": "HEY"}, None)
    assert (await client.call_tool("rows", {"count": 3})).structured_content == {"result": [0, 1, 2]}


async def check_failures(client: Client) -> None:
    bad = await client.call_tool("double", {"n": "four", "m": 1})
    assert bad.is_error
    assert "n: expected a valid integer" in bad.content[0].text
    assert "m: expected" in bad.content[0].text
    failed = [await client.call_tool("fail", {"how": how}) for how in ("well", "badly")]
    assert [each.content[0].text for each in failed] == ["there is no such thing", "ValueError: oops"]
    assert all(each.is_error for each in failed)
    with pytest.raises(MCPError, match="no tool is named 'duble'; did you mean 'double'"):
        await client.call_tool("duble", {})
    long = await client.call_tool("long", {"size": 5_000_000})
    assert long.is_error
    assert "takes 5000000 bytes" in long.content[0].text
    refused = await client.call_tool("launch", {"where": "moon"})
    assert refused.is_error
    assert "this client can't ask anybody" in refused.content[0].text


async def check_progress(client: Client) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    assert (await client.call_tool("work", {}, progress_callback=progress)).structured_content == {"result": "done"}
    brewed = await client.call_tool("brew", {}, progress_callback=progress)
    assert brewed.structured_content == {"result": "tea"}
    assert told.pop() == (0.5, 1.0, "the water boils")
    assert sorted(told) == [(1 / 3, 1.0, "step 1"), (2 / 3, 1.0, "step 2"), (1.0, 1.0, "step 3")]


async def check_files(client: Client) -> None:
    painted = await client.call_tool("paint", {})
    assert base64.b64decode(painted.content[1].data) == b"\x89PNG\r\n"
    assert painted.content[1].mime_type == "image/png"
    written = await client.call_tool("write", {"text": "dear diary"})
    link = written.content[1]
    assert (link.type, link.name, link.mime_type, link.size) == ("resource_link", "note.txt", "text/plain", 10)
    assert (await client.read_resource(link.uri)).contents[0].text == "dear diary"
    assert link.uri in [str(each.uri) for each in (await client.list_resources()).resources]
    assert (await client.call_tool("read", {"file": written.structured_content})).content[0].text == "dear diary"
    with pytest.raises(MCPError, match="is not kept here"):
        await client.read_resource("artifact:///" + "0" * 64)


async def check_cancellation(client: Client, mark: Path, until: Until) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "wait", {"mark": str(mark)})
        await until(Path(f"{mark}.begun").exists)
        group.cancel_scope.cancel()
    await until(Path(f"{mark}.cancelled").exists)
    assert (await client.call_tool("double", {"n": 1})).structured_content == {"result": 2}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("accept", "launched to moon"),
        ("decline", "was refused by the person at the MCP client: it was declined"),
        ("cancel", "was refused by the person at the MCP client: nobody has decided"),
    ],
)
async def test_the_person_at_the_client_is_asked_for_approval(url: str, mode: str, action: Any, told: str) -> None:
    asked = []

    async def elicit(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    with anyio.fail_after(PATIENCE_S):
        async with Client(url, mode=mode, elicitation_callback=elicit) as client:
            result = await client.call_tool("launch", {"where": "moon"})
    assert told in result.content[0].text
    assert result.is_error is (action != "accept")
    assert asked == ["May the tool launch be called with {'where': 'moon'}? (launch asks before each call)"]


async def test_an_approval_of_one_call_is_worth_nothing_for_another(url: str) -> None:
    async def elicit(context: Any, params: Any) -> ElicitResult:
        raise AssertionError("nobody is asked")

    with anyio.fail_after(PATIENCE_S):
        async with Client(url, mode="auto", elicitation_callback=elicit) as client:
            first = await client.session.call_tool("launch", {"where": "moon"}, allow_input_required=True)
            answers: Any = {"approval": ElicitResult(action="accept", content={})}
            for where, state in [("mars", first.request_state), ("moon", "{}")]:
                with pytest.raises(MCPError):
                    await client.session.call_tool(
                        "launch", {"where": where}, input_responses=answers, request_state=state
                    )
            done = await client.session.call_tool(
                "launch", {"where": "moon"}, input_responses=answers, request_state=first.request_state
            )
            assert done.content[0].text == "launched to moon"
            again = await client.session.call_tool(
                "launch", {"where": "moon"}, input_responses=answers, request_state=first.request_state
            )
            assert "has been used already" in again.content[0].text
