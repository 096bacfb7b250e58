"""Case `websocket`: two device processes that dial in over WebSocket, with the journal in SQLite."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ..subject import Prepare
from .runs import opened_orchestrator, prepared


def opened(folder: Path) -> AbstractAsyncContextManager[Prepare]:
    """An orchestrator with device processes and a journal."""
    return prepared(opened_orchestrator(folder, kind="process", journal=folder / "journal.db"))
