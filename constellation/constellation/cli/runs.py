"""`constellation runs`: the runs in a journal."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Hub, Journal, TokenFile, check_choice, connected
from .stopping import run_until_stopped

if TYPE_CHECKING:
    from ..journal import RunSummary

LIMIT = 20
MAX_LIMIT = 100_000


def runs(
    limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many to list, the newest first.")] = LIMIT,
    hub: Hub = None,
    token_file: TokenFile = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """List runs, the newest first."""
    from ..console.output import write_text
    from ..journal import open_journal

    check_choice(hub, token_file, {"--journal": journal})

    async def body() -> int:
        if hub is not None:
            async with connected(hub, token_file) as orchestrator:
                found = await orchestrator.runs(limit=limit)
        else:
            async with open_journal(journal) as opened:
                found = await opened.runs(limit=limit)
        # Nested runs are stars of the runs that they belong to.
        found = [summary for summary in found if summary.parent is None]
        for text in [_as_json(summary) for summary in found] if as_json else _as_table(found):
            write_text(text)
        return 0

    return run_until_stopped(body)


def _as_json(summary: RunSummary) -> str:
    return json.dumps(dataclasses.asdict(summary), default=str)


def _as_table(found: Sequence[RunSummary]) -> list[str]:
    from ..console.formatting import by_state
    from ..console.table import aligned

    rows = []
    for summary in found:
        stars = summary.info.get("stars")
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(summary.created_at))
        rows.append(
            (summary.run, summary.state, begun, summary.name, by_state(stars) if isinstance(stars, dict) else "")
        )
    return aligned(("RUN", "STATE", "BEGUN", "NAME", "STARS"), rows) if rows else ["no runs yet"]
