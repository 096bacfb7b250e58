"""Case `journaled`: as `in_process`, with the journal in SQLite, every group of events synchronised to disk."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ..subject import Prepare
from .runs import opened_orchestrator, prepared


def opened(folder: Path) -> AbstractAsyncContextManager[Prepare]:
    """An orchestrator with local devices and a journal."""
    return prepared(opened_orchestrator(folder, kind="local", journal=folder / "journal.db"))
