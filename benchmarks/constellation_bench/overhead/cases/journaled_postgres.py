"""Case `journaled_postgres`: as `journaled`, with the journal in PostgreSQL, which waits for its disk as well."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import Orchestrator

from .runs import opened_orchestrator


def orchestrator(folder: Path, store: str | None) -> AbstractAsyncContextManager[Orchestrator]:
    """An orchestrator with local devices and a journal in the database at the URL `store`."""
    assert store is not None
    return opened_orchestrator(folder, kind="local", journal=store)
