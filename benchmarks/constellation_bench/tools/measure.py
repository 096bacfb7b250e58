"""One library with all cases, and its costs, in the process that it has for itself."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio

from .cases import CASES
from .costs import async_function, call_us, schema_ms, sync_function
from .library import Library
from .score import scored


def measure(module: str, folder: Path) -> dict[str, Any]:
    """Score a library and measure what it costs; JSON."""
    warnings.simplefilter("ignore")  # libraries warn of the very functions that the cases are about
    library: Library = importlib.import_module(module)
    return anyio.run(_measure, library)


async def _measure(library: Library) -> dict[str, Any]:
    scores = [asdict(await scored(library, case)) for case in CASES]
    costs: dict[str, float] = {"schema_ms": schema_ms(library)}
    asynchronous, synchronous = async_function(), sync_function()
    ways = {
        "async_call_us": (library.make(asynchronous), asynchronous),
        "sync_call_us": (library.make_quick(synchronous), synchronous),
        "thread_call_us": (library.make(synchronous), synchronous),
    }
    for name, (made, function) in ways.items():
        costs[name], costs[f"bare_{name}"] = await call_us(library, made, function)
    return {"scores": scores, "costs": costs}
