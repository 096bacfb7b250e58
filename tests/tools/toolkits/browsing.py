"""What tests of the browser share: a site made of routes, places that must not be reached, and calls by short names."""

from __future__ import annotations

import re
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio

from constellation_tools import ToolContext
from constellation_tools.toolkits.browser import BrowserToolset

Answer = str | tuple[int, dict[str, str], bytes]


class Site(ThreadingHTTPServer):
    """A web site: what each path answers, what was asked, and what asks for a path waits for.

    Attributes:
        routes: Answers by path: a page's HTML, or status, headers and body, or what writes to the connection itself.
        seen: Paths that were asked, with their cookies.
        release: Set when what still waits shall end.
        left: Set when whoever was being answered without end has gone.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Answer | Callable[[_Handler], None]] = {}
        self.seen: list[tuple[str, str]] = []
        self.asked = threading.Event()
        self.release = threading.Event()
        self.left = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.place}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: browsers hang up when they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Cookie", "")))
        self.server.asked.set()
        answer = self.server.routes.get(self.path.partition("?")[0], (404, {}, b"not here"))
        if callable(answer):
            answer(self)
            self.close_connection = True
            return
        if isinstance(answer, str):
            answer = (200, {"Content-Type": "text/html; charset=utf-8"}, answer.encode())
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()


def never(handler: _Handler) -> None:
    """Answer nothing until released."""
    handler.server.release.wait(60)


def endless(handler: _Handler) -> None:
    """Answer with a page that has no end."""
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<title>endless</title>"
    )
    try:
        while not handler.server.release.is_set():
            handler.wfile.write(b"<p>more</p>" * 6000)
    except OSError:
        handler.server.left.set()


@contextmanager
def running_site() -> Iterator[Site]:
    """A site that serves."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.release.set()
            site.shutdown()
            thread.join()


class Forbidden:
    """A TCP and a UDP port of this machine that nobody may speak to."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp_port = self.udp.getsockname()[1]

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def spoken_to(self) -> bool:
        """Whether a connection or a datagram has come."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.tcp, selectors.EVENT_READ)
            selector.register(self.udp, selectors.EVENT_READ)
            return bool(selector.select(0))

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()


class Person:
    """Somebody who uses browser tools."""

    def __init__(self, tools: BrowserToolset) -> None:
        self.tools = tools
        self.context = ToolContext()

    async def __call__(self, name: str, **arguments: Any) -> Any:
        with anyio.fail_after(90):
            return await self.tools.get(f"browser_{name}").call(arguments, self.context)

    async def ref(self, what: str) -> str:
        """The reference of the element that a snapshot tells of like this, such as `button "Go"`."""
        snapshot = (await self("read"))["text"]
        found = re.search(re.escape(what) + r"[^\n]*?\[ref=(\w+)\]", snapshot)
        assert found, f"{what} is not in:\n{snapshot}"
        return found[1]
