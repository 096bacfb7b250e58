"""Case `in_process`: two devices in this process, and no journal."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import Orchestrator

from .runs import opened_orchestrator


def orchestrator(folder: Path, store: str | None = None) -> AbstractAsyncContextManager[Orchestrator]:
    """An orchestrator with local devices."""
    return opened_orchestrator(folder, kind="local", journal=":none:")
