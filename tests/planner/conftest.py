"""What the planner tests share: a home of their own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory that nobody else uses."""
    path = tmp_path / "home"
    monkeypatch.setenv("CONSTELLATION_HOME", str(path))
    return path
