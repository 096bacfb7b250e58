"""Case `journaled`: as `in_process`, with the journal in SQLite, every group of events synchronised to disk."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import Orchestrator

from .runs import opened_orchestrator


def orchestrator(folder: Path, store: str | None = None) -> AbstractAsyncContextManager[Orchestrator]:
    """An orchestrator with local devices and a journal."""
    return opened_orchestrator(folder, kind="local", journal=folder / "journal.db")
