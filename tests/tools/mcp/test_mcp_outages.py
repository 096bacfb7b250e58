"""A server over HTTP that goes away and comes back: what was under way is lost, what comes then waits for it."""

from __future__ import annotations

import gzip
import json
import socketserver
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path

import anyio
import psutil
import pytest

from constellation_tools.mcp import McpCallLost, McpLimits, McpServer, McpToolset, McpUnavailable

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("mcp"), pytest.mark.timeout(300)]

PATIENCE_S = 200.0
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


@contextmanager
def plain_server(answer: Callable[[int], bytes | None], *, packs_calls: bool = False) -> Iterator[str]:
    """A server of the older protocol with one tool, `get`; gives its URL.

    Args:
        answer: Given the number of a call, the JSON of its result, or None to hang up.
        packs_calls: Whether it packs the results of calls, whatever the client takes.
    """
    calls = count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            method, id = message["method"], message.get("id")
            result: bytes | None = b""
            if method == "initialize":
                info = {"name": "plain", "version": "1"}
                introduction = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                result = json.dumps(introduction).encode()
            elif method == "tools/list":
                result = b'{"tools": [{"name": "get", "inputSchema": {"type": "object"}}]}'
            elif method == "tools/call":
                result = answer(next(calls))
            if result is None:
                self.connection.close()
                return
            failure = b'"error": {"code": -32601, "message": "no such method"}'
            body = b'"result": ' + result if result else failure
            content = b'{"jsonrpc": "2.0", "id": ' + json.dumps(id).encode() + b", " + body + b"}"
            self.send_response(202 if id is None else 200)
            self.send_header("content-type", "application/json")
            if packs_calls and method == "tools/call":
                content = gzip.compress(content)
                self.send_header("content-encoding", "gzip")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *values: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
        server.shutdown()


GOT = b'{"content": [{"type": "text", "text": "got"}]}'


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_call_whose_answer_is_lost_is_made_again_only_where_that_does_no_harm(idempotent: bool) -> None:
    calls: list[int] = []

    def answer(number: int) -> bytes | None:
        calls.append(number)
        return None if number == 1 else GOT

    with plain_server(answer) as url, anyio.fail_after(PATIENCE_S):
        async with McpToolset(McpServer(url=url, idempotent=["get"] if idempotent else [])) as tools:
            if idempotent:
                assert await tools.get("get").call({}) == "got"
            else:
                with pytest.raises(McpCallLost):
                    await tools.get("get").call({})
    assert len(calls) == (2 if idempotent else 1)


async def test_an_answer_that_is_too_long_is_cut_off_and_the_next_one_taken() -> None:
    def answer(number: int) -> bytes:
        return b'{"content": [{"type": "text", "text": "' + b"x" * 100_000 + b'"}]}' if number == 1 else GOT

    limits = McpLimits(message_bytes=10_000)
    with plain_server(answer) as url, anyio.fail_after(PATIENCE_S):
        async with McpToolset(McpServer(url=url, limits=limits)) as tools:
            with pytest.raises(McpCallLost, match="takes more than 10000 bytes"):
                await tools.get("get").call({})
            assert await tools.get("get").call({}) == "got"


async def test_an_answer_that_is_packed_does_not_pass_the_limit_unseen() -> None:
    def answer(number: int) -> bytes:
        return b'{"content": [{"type": "text", "text": "' + b"x" * 1_000_000 + b'"}]}'

    limits = McpLimits(message_bytes=100_000)
    with plain_server(answer, packs_calls=True) as url, anyio.fail_after(PATIENCE_S):
        async with McpToolset(McpServer(url=url, limits=limits)) as tools:
            with pytest.raises(McpCallLost, match="packs its answers"):
                await tools.get("get").call({})
