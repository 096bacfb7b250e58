"""A server over HTTP that goes away and comes back: what was under way is lost, what comes then waits for it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import anyio
import psutil
import pytest

from constellation_tools.mcp import McpCallLost, McpLimits, McpServer, McpToolset, McpUnavailable

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("mcp")]

PATIENCE_S = 60.0
KIT = Path(__file__).with_name("kit.py")
COMMAND = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())", "tools", "serve"]

Until = Callable[[Callable[[], object]], Awaitable[None]]
Program = Callable[..., AbstractContextManager[str]]


async def test_a_server_that_goes_away_is_waited_for(serving_program: Program, tmp_path: Path, until: Until) -> None:
    mark = tmp_path / "mark"
    lost: list[McpCallLost] = []
    with ExitStack() as running, anyio.fail_after(PATIENCE_S):
        url = running.enter_context(serving_program(*COMMAND, str(KIT), "--http", "127.0.0.1:0"))
        address = url.removeprefix("http://").partition("/")[0]
        async with McpToolset(McpServer(url=url, limits=McpLimits(away_s=0.5))) as tools:

            async def wait() -> None:
                try:
                    await tools.get("wait").call({"mark": str(mark)})
                except McpCallLost as error:
                    lost.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await until(Path(f"{mark}.begun").exists)
                for child in psutil.Process().children():
                    child.kill()
            running.close()
            assert "whether it had its effect is not known" in str(lost[0])
            with pytest.raises(McpUnavailable, match=r"can't be reached.*nothing has been done"):
                await tools.get("double").call({"n": 1})
            running.enter_context(serving_program(*COMMAND, str(KIT), "--http", address))
            assert await tools.get("double").call({"n": 2}) == {"result": 4}


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_call_whose_answer_is_lost_is_made_again_only_where_that_does_no_harm(
    idempotent: bool, tmp_path: Path
) -> None:
    """The server hangs up on the first call of the tool, and answers the second."""
    import socketserver
    import threading
    from http.server import BaseHTTPRequestHandler
    from json import dumps, loads

    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = loads(self.rfile.read(int(self.headers["content-length"])))
            method, id = message["method"], message.get("id")
            if method == "tools/call":
                calls.append(method)
                if len(calls) == 1:
                    self.connection.close()
                    return
            schema = {"type": "object"}
            results = {
                "initialize": {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "h", "version": "1"},
                },
                "tools/list": {"tools": [{"name": "get", "inputSchema": schema}]},
                "tools/call": {"content": [{"type": "text", "text": "got"}]},
            }
            if id is None:
                self.send_response(202)
                self.end_headers()
                return
            answer = {"jsonrpc": "2.0", "id": id}
            answer |= {"result": results[method]} if method in results else {"error": {"code": -32601, "message": "no"}}
            content = dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *values: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/mcp"
        settings = McpServer(url=address, idempotent=["get"] if idempotent else [])
        with anyio.fail_after(PATIENCE_S):
            async with McpToolset(settings) as tools:
                if idempotent:
                    assert await tools.get("get").call({}) == "got"
                else:
                    with pytest.raises(McpCallLost):
                        await tools.get("get").call({})
        server.shutdown()
    assert len(calls) == (2 if idempotent else 1)
