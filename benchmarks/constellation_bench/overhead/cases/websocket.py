"""Case `websocket`: two device processes that dial in over WebSocket, with the journal in SQLite."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import Orchestrator

from .runs import opened_orchestrator


def orchestrator(folder: Path, store: str | None = None) -> AbstractAsyncContextManager[Orchestrator]:
    """An orchestrator with device processes and a journal."""
    return opened_orchestrator(folder, kind="process", journal=folder / "journal.db")
