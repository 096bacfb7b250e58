"""What the tests of the console share: the backend, and streams that stand in for terminals and pipes."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console


class TerminalStream(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> TerminalStream:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return TerminalStream()


@pytest.fixture
def make_console() -> Callable[[int, int], Console]:
    """A console of a fixed size that writes to memory, without colours."""

    def make(width: int, height: int) -> Console:
        return Console(
            file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
        )

    return make
