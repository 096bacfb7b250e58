"""What the benchmarks' tests share: a state directory of their own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory."""
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
