"""`constellation dump` and `constellation replay`: a run in one file for a report of a bug, and what the file tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import RUN_FAILED, BadInput
from .options import AsJson, Hub, Journal, TokenFile, check_choice, connected

if TYPE_CHECKING:
    from ..orchestrator.state_dump import DumpedRun, RunDump
    from ..scheduling import RunMachine
    from ..scheduling.retracing import Retraced


def dump(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; RUN.dump.json when left out.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Replace private texts by as many x: what stars were given and gave.")
    ] = False,
    hub: Hub = None,
    token_file: TokenFile = None,
    journal: Journal = None,
) -> int:
    """Write all that is known of a run into one file, for a report of a bug."""
    import anyio

    from ..console.output import write_text
    from ..console.sanitise import visible
    from ..journal import open_journal
    from ..orchestrator.state_dump import make_dump

    check_choice(hub, token_file, {"--journal": journal})

    async def gather() -> RunDump:
        if hub is not None:
            async with connected(hub, token_file) as orchestrator:
                return await orchestrator.dump(run, redact=redact)
        async with open_journal(journal) as opened:
            return await make_dump(opened, run, redact=redact)

    made = anyio.run(gather)
    path = output if output is not None else Path(f"{made.runs[0].summary.run}.dump.json")
    path.write_text(made.text(), encoding="ascii")
    what = "without private texts" if redact else "with all that its stars were given and gave: see --redact"
    write_text(f"{visible(path)}: {sum(len(part.records) for part in made.runs):,} records, {what}")
    return 0


def replay(
    file: Annotated[Path, typer.Argument(help="What `constellation dump` has written.", metavar="FILE")],
    to: Annotated[int | None, typer.Option(min=1, help="Stop after this record.", metavar="N")] = None,
    run: Annotated[str | None, typer.Option(help="A nested run of the file, instead of the one around it.")] = None,
    story: Annotated[str | None, typer.Option(help="Tell what happened to this star.", metavar="STAR")] = None,
    as_json: AsJson = False,
) -> int:
    """Go through a dumped run again without side effects, and show where its stars are."""
    from ..console.output import write_text
    from ..orchestrator.state_dump import read_dump
    from ..scheduling.retracing import retrace
    from ..scheduling.story import story as story_of

    dumped = _chosen(read_dump(file), run)
    retraced = retrace([record.text() for record in dumped.records[:to]])
    told = story_of(retraced.entries, story) if story is not None else None
    if as_json:
        write_text(json.dumps(_as_json(dumped, retraced, told)))
    else:
        for line in _as_lines(dumped, retraced, told):
            write_text(line)
    return RUN_FAILED if retraced.problem or _differences(dumped, retraced) else 0


def _chosen(dump: RunDump, run: str | None) -> DumpedRun:
    if run is None:
        return dump.runs[0]
    found = [dumped for dumped in dump.runs if dumped.summary.run == run]
    if not found:
        known = ", ".join(dumped.summary.run for dumped in dump.runs)
        raise BadInput(f"the dump has no run {run!r}; it has {known}")
    return found[0]


def _as_json(dumped: DumpedRun, retraced: Retraced, told: list[str] | None) -> dict[str, Any]:
    machine = retraced.machine
    return {
        "run": dumped.summary.run,
        "records": len(retraced.entries),
        "state": machine.state if machine else None,
        "stars": {star: machine.graph.state(star).value for star in machine.graph} if machine else {},
        "waiting": _waiting(machine),
        "problem": _problem(retraced),
        "differences": _differences(dumped, retraced),
        "story": told,
    }


def _as_lines(dumped: DumpedRun, retraced: Retraced, told: list[str] | None) -> list[str]:
    from ..console.sanitise import visible
    from ..console.table import aligned

    machine, count = retraced.machine, len(retraced.entries)
    state = machine.state if machine else "not begun"
    lines = [f"run {visible(dumped.summary.run)} after {count:,} of {len(dumped.records):,} records: {state}"]
    if told is not None:
        lines += [visible(line, limit=None) for line in told] or ["nothing in these records is about this star"]
    elif machine is not None:
        waiting = _waiting(machine)
        rows = []
        for star in machine.graph.in_order():
            outcome = machine.graph.outcome(star)
            error = f"{outcome.error.type}: {outcome.error.message}" if outcome and outcome.error else ""
            rows.append((star, machine.graph.state(star).value, waiting.get(star, error)))
        lines += aligned(("STAR", "STATE", "WHY"), rows)
    lines += [visible(f"not as when the dump was made: {text}", limit=None) for text in _differences(dumped, retraced)]
    problem = _problem(retraced)
    return [*lines, visible(problem, limit=None)] if problem else lines


def _waiting(machine: RunMachine | None) -> dict[str, str]:
    from ..scheduling.quiescence import explain_waiting

    return {str(star): reason for star, reason in explain_waiting(machine.graph).items()} if machine else {}


def _problem(retraced: Retraced) -> str | None:
    """What is wrong with the record after those that are right, with its number."""
    return f"record {len(retraced.entries) + 1}: {retraced.problem}" if retraced.problem else None


def _differences(dumped: DumpedRun, retraced: Retraced) -> list[str]:
    """In what the replay of all records differs from what the orchestrator thought that made the dump."""
    live, machine = dumped.live, retraced.machine
    if live is None or machine is None or live.records != len(retraced.entries):
        return []
    found = [] if live.state == machine.state else [f"the run was {live.state}"]
    states = {str(star): machine.graph.state(star).value for star in machine.graph}
    found += [
        f"star {star!r} was {live.stars.get(star, 'not there')}, and is {states.get(star, 'not there')} by its records"
        for star in {**states, **live.stars}
        if live.stars.get(star) != states.get(star)
    ]
    return found
