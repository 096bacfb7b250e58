"""Who may ask a server over HTTP, and who may not: hosts, origins, tokens, TLS, sizes; and how it ends."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme

from constellation_tools import ToolFailed, Toolset
from constellation_tools.mcp import McpServer, McpToolset, McpUnavailable
from constellation_tools.mcp.serving import BadListening, Listening, ServingLimits, serve_http

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

PATIENCE_S = 100.0
TOKEN = "a token of some length"

LIST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}


def double(n: int) -> int:
    """Double."""
    return 2 * n


@asynccontextmanager
async def served(listening: Listening, **options: Any) -> AsyncIterator[str]:
    found: list[str] = []
    came = anyio.Event()

    def ready(url: str) -> None:
        found.append(url)
        came.set()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: serve_http(Toolset([double]), listening, ready=ready, **options))
            await came.wait()
            yield found[0]
            group.cancel_scope.cancel()


async def post(url: str, headers: dict[str, str] | None = None, **options: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, verify=options.pop("verify", True)) as client:
        return await client.post(url, headers={**ACCEPT, **(headers or {})}, **{"json": LIST, **options})


async def test_on_this_machine_only_our_own_names_are_answered() -> None:
    async with served(Listening()) as url:
        port = url.rpartition(":")[2].partition("/")[0]
        asked = [
            ({}, 200),
            ({"host": f"localhost:{port}"}, 200),
            ({"origin": f"http://127.0.0.1:{port}"}, 200),
            ({"host": "evil.example"}, 421),
            ({"host": f"127.0.0.1.evil.example:{port}"}, 421),
            ({"host": f"evil.example:{port}"}, 421),
            ({"origin": "https://evil.example"}, 403),
            ({"origin": "http://127.0.0.1.evil.example"}, 403),
            ({"origin": "null"}, 403),
        ]
        assert [(await post(url, headers)).status_code for headers, _ in asked] == [status for _, status in asked]


async def test_only_who_shows_the_token_is_answered() -> None:
    async with served(Listening(token=TOKEN)) as url:
        shown = ["", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}"]
        answers = [await post(url, {"authorization": each}) for each in shown]
        assert [each.status_code for each in answers] == [401, 401, 401, 401, 401, 200]
        assert answers[0].headers["www-authenticate"] == "Bearer"
        with pytest.raises(McpUnavailable, match="401 Unauthorized: it wants a token"):
            async with McpToolset(McpServer(url=url)):
                pass
        async with McpToolset(McpServer(url=url, headers={"Authorization": f"Bearer {TOKEN}"})) as tools:
            assert await tools.get("double").call({"n": 2}) == {"result": 4}


async def test_with_tls_and_a_token_other_machines_may_ask(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    listening = Listening(host="0.0.0.0", token=TOKEN, tls_cert=cert, tls_key=key, host_names=["localhost"])
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with served(listening) as url:
        assert url.startswith("https://localhost:")
        assert (await post(url, headers, verify=trusting)).status_code == 200
        assert (await post(url, verify=trusting)).status_code == 401
        assert (await post(url, {**headers, "host": "evil.example"}, verify=trusting)).status_code == 421


async def test_requests_that_are_too_long_are_refused() -> None:
    async with served(Listening(), limits=ServingLimits(request_bytes=1_000)) as url:
        assert (await post(url)).status_code == 200
        assert (await post(url, json={**LIST, "more": "x" * 1_000})).status_code == 413


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"host": "0.0.0.0"}, "a token and TLS"),
        ({"host": "192.0.2.1", "token": TOKEN}, "a token and TLS"),
        ({"host": "example.org", "tls_cert": Path("c"), "tls_key": Path("k")}, "a token and TLS"),
        ({"host": "::", "token": TOKEN, "tls_cert": Path("c"), "tls_key": Path("k")}, "by which names"),
        ({"tls_cert": Path("c")}, "give both"),
        ({"token": "short"}, "16 characters"),
        ({"token": "not ascii, and long: é"}, "16 characters"),
    ],
)
def test_what_would_be_open_to_others_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadListening, match=reason):
        Listening(**settings)


async def test_an_address_that_is_taken_and_a_certificate_that_is_none_are_named(tmp_path: Path) -> None:
    async with served(Listening()) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(BadListening, match=f"127.0.0.1:{port} can't be listened on"):
            await serve_http(Toolset([double]), Listening(port=port))
    (tmp_path / "none.pem").write_text("none")
    bad = Listening(tls_cert=tmp_path / "none.pem", tls_key=tmp_path / "none.pem")
    with pytest.raises(BadListening, match="certificate"):
        await serve_http(Toolset([double]), bad)


async def test_a_server_that_is_stopped_tells_whoever_waits(tmp_path: Path) -> None:
    begun = anyio.Event()

    async def wait() -> str:
        """Wait for ever."""
        begun.set()
        await anyio.sleep_forever()
        return ""

    async def told(tools: McpToolset) -> None:
        with pytest.raises(ToolFailed, match="cancelled: the server stops"):
            await tools.get("wait").call({})

    came = anyio.Event()
    urls: list[str] = []

    def ready(url: str) -> None:
        urls.append(url)
        came.set()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as serving:
            serving.start_soon(lambda: serve_http(Toolset([wait]), Listening(), ready=ready))
            await came.wait()
            with anyio.CancelScope(shield=True):
                async with McpToolset(McpServer(url=urls[0])) as tools, anyio.create_task_group() as group:
                    group.start_soon(told, tools)
                    await begun.wait()
                    serving.cancel_scope.cancel()
