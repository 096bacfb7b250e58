"""`constellation story`: what happened to a run, or to one of its stars, in the order in which it happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Hub, Journal, TokenFile, check_choice, connected

if TYPE_CHECKING:
    from ..orchestrator.state_dump import RunDump


def story(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.", metavar="RUN")],
    star: Annotated[str | None, typer.Option(help="Tell of this star alone, and in full.", metavar="STAR")] = None,
    hub: Hub = None,
    token_file: TokenFile = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Tell what happened to a run: the plan and its reason, mistakes and edits, questions and answers, failures."""
    import anyio

    from ..console.output import write_text
    from ..console.sanitise import visible
    from ..journal import open_journal
    from ..orchestrator.state_dump import make_dump
    from ..scheduling.retracing import retrace
    from ..scheduling.story import clock, run_story
    from ..scheduling.story import story as star_story

    check_choice(hub, token_file, {"--journal": journal})

    async def gather() -> RunDump:
        if hub is not None:
            async with connected(hub, token_file) as orchestrator:
                return await orchestrator.dump(run)
        async with open_journal(journal) as opened:
            return await make_dump(opened, run)

    dumped = anyio.run(gather).runs[0]
    entries = retrace([record.text() for record in dumped.records]).entries
    lines = run_story(entries) if star is None else star_story(entries, star)
    answer = dumped.summary.info.get("answer")
    if star is None and answer is not None and entries:
        lines.append(f"{clock(dumped.summary.updated_at)} the request was answered: {answer}")
    if as_json:
        for line in lines:
            write_text(json.dumps({"time": line[:12], "text": line[13:]}, ensure_ascii=False))
        return 0
    for line in lines or ["nothing is known of it"]:
        write_text(visible(line, limit=None))
    return 0
