"""A survey as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from .subjects import OURS
from .survey import Survey

RATIOS = {
    "schema_to_pydantic_ai": "our schema, to that of pydantic-ai",
    "schema_to_pydantic_alone": "our schema, to that of pydantic alone",
    "async_call_to_pydantic_alone": "our async call, to that of pydantic alone",
    "sync_call_over_pydantic_alone_us": "our quick sync call, over that of pydantic alone, in µs",
}


def print_survey(survey: Survey, console: Console, *, wrong: bool) -> None:
    """Print a row for each library, our ratios, and what was left out.

    Args:
        survey: What was measured.
        console: Where to.
        wrong: Also list, for each library, the cases in which something is wrong.
    """
    machine = survey.host
    console.print(
        f"CPU time, medians. Python {machine['python']}, {machine['cpus']} CPUs, {machine['machine']}.\n"
        "In brackets: the same call by pydantic alone, in the same process.\n"
    )
    console.print(_libraries(survey))
    for name, value in survey.ratios().items():
        console.print(f"{RATIOS[name]}: {value:.2f}")
    if wrong:
        for figures in survey.libraries:
            console.print(f"\n{figures.subject.name}: {len(figures.wrong)} wrong")
            for score in figures.wrong:
                console.print(f"  {score['group']}, {score['name']}: {score['wrong']}")
    for name, reason in survey.skipped.items():
        console.print(f"skipped {name}: {reason}")
    for name, reason in survey.failed.items():
        console.print(f"failed {name}: {reason}")


def _libraries(survey: Survey) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in ("cases", "schema exact", "all right", "schema ms", "async call µs", "sync call µs", "in a thread µs"):
        table.add_column(head, justify="right", no_wrap=True)
    for figures in survey.libraries:
        costs = figures.costs
        table.add_row(
            figures.subject.name,
            str(len(figures.scores)),
            str(figures.schema_exact),
            str(figures.all_right),
            f"{costs['schema_ms']:.2f}",
            f"{costs['async_call_us']:,.1f} ({costs['bare_async_call_us']:.1f})",
            f"{costs['sync_call_us']:,.1f} ({costs['bare_sync_call_us']:.1f})",
            f"{costs['thread_call_us']:,.1f}" if figures.subject.name == OURS else "–",
            style="bold" if figures.subject.name == OURS else "",
        )
    return table
