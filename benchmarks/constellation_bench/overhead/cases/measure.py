"""One measurement of one of our own cases, and what its journal says of how durable it was meanwhile."""

from __future__ import annotations

import importlib
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import anyio

from constellation import Orchestrator

from ...errors import MeasurementFailed
from ..measure import sampled
from .runs import preparing


class OwnCase(Protocol):
    """A module beside this one."""

    def orchestrator(self, folder: Path, store: str | None) -> AbstractAsyncContextManager[Orchestrator]:
        """What carries the graph out, with files in a folder, and the database at the URL `store` if it needs one."""


def measure(
    module: str, stars: int, durable: bool, folder: Path, store: str | None = None, server: int | None = None
) -> dict[str, Any]:
    """Carry out one run of that many stars, after a small one; returns a Sample as JSON, with the journal's settings.

    Args:
        module: The case.
        stars: How many stars.
        durable: Whether the journal has to survive a power cut for the figure to count.
        folder: Where files are kept.
        store: The URL of the database.
        server: The first process of the database's server.

    Raises:
        MeasurementFailed: the journal is less durable than it has to be.
    """
    case: OwnCase = importlib.import_module(module)
    return anyio.run(_measure, case, stars, durable, folder, store, server)


async def _measure(
    case: OwnCase, stars: int, durable: bool, folder: Path, store: str | None, server: int | None
) -> dict[str, Any]:
    async with case.orchestrator(folder, store) as orchestrator:
        sample = await sampled(preparing(orchestrator), stars, server)
        said = await orchestrator.journal.durability()
    settings = ", ".join(f"{name}={value}" for name, value in said.settings.items())
    if durable and not said.survives_power_cut:
        raise MeasurementFailed(f"found a journal that does not survive a power cut: {settings or 'it says nothing'}")
    return {**asdict(sample), "durability": settings}
