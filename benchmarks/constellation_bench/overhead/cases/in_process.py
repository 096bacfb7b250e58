"""Case `in_process`: two devices in this process, and no journal."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from constellation import Orchestrator

from ..subject import Prepare
from .runs import opened_orchestrator, prepared


def orchestrator(folder: Path) -> AbstractAsyncContextManager[Orchestrator]:
    """The orchestrator of this case."""
    return opened_orchestrator(folder, kind="local", journal=":none:")


def opened(folder: Path) -> AbstractAsyncContextManager[Prepare]:
    """An orchestrator with local devices."""
    return prepared(orchestrator(folder))
