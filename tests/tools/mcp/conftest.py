"""What the tests of MCP share: servers of several makes, and waiting for what they do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_tools import ToolContext
from constellation_tools.mcp import McpServer

HERE = Path(__file__).parent
PATIENCE_S = 100.0

RAW = HERE / "raw_server.py"
SDK = HERE / "sdk_server.py"


@pytest.fixture(scope="session")
def raw() -> Callable[..., McpServer]:
    """Makes a raw server of a mode, which starts at once: `raw("deaf", limits=..., prefix=...)`."""

    def make(*arguments: str | Path, **more: Any) -> McpServer:
        return McpServer(name="raw", command=(sys.executable, str(RAW), *map(str, arguments)), **more)

    return make


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits for something that another process does, and that nothing tells of."""

    async def wait(condition: Callable[[], object]) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not condition():
                await anyio.sleep(0.01)

    return wait


class Reports:
    """A context whose reports of progress are kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str | None, float | None, object]] = []
        self.came = anyio.Event()
        self.context = ToolContext(progress=self._take)

    def _take(self, text: str | None, fraction: float | None, data: object) -> None:
        self.lines.append((text, fraction, data))
        self.came.set()


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture(scope="session")
def sdk_stdio() -> McpServer:
    """A server on the official SDK, over standard input and output."""
    return McpServer(name="sdk", command=(sys.executable, str(SDK)))


def http_program(*command: str) -> Iterator[str]:
    """Start a program that prints its URL on a line by itself, and end it afterwards."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http"))
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def sdk_url() -> Iterator[str]:
    """The URL of a server on the official SDK."""
    yield from http_program(sys.executable, str(SDK), "http")


@pytest.fixture(scope="session")
def serving_program() -> Callable[..., AbstractContextManager[str]]:
    """Starts a program that prints its URL, and gives it; the program is ended afterwards."""
    return contextmanager(http_program)
