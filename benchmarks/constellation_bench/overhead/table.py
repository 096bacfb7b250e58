"""A survey as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from .figures import Figures
from .subjects import CASES, CaseName
from .survey import Survey

EDITS = (CaseName.EDIT_MIDDLE, CaseName.EDIT_BATCH)


def print_survey(survey: Survey, console: Console) -> None:
    """Print runs and peers by what they are compared to, then edits, then what was left out."""
    machine = survey.host
    console.print(
        f"CPU time per star of all processes together, medians. Python {machine['python']}, {machine['cpus']} CPUs, "
        f"{machine['machine']}, files on {machine['file_system']}.\n"
    )
    runs = _runs(survey)
    if runs.row_count:
        console.print(runs)
    edits = _edits(survey)
    if edits.row_count:
        console.print(edits)
    for case in survey.cases:
        if said := case.more.get("durability"):
            console.print(f"{case.name}: {said}")
    if survey.database is not None:
        console.print(_database(survey.database))
    for name, reason in survey.skipped.items():
        console.print(f"skipped {name}: {reason}")
    for name, reason in survey.failed.items():
        console.print(f"failed {name}: {reason}")


def _database(database: dict[str, Any]) -> str:
    shown = f"PostgreSQL {database['version']}: {database['about']}"
    if database["server_cpu_known"]:
        return shown
    return f"{shown}; its processes can't be seen from here, so that its CPU time is not counted"


def _runs(survey: Survey) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in ("CPU µs/star", "of the server", "spread", "wall µs/star", "stars", "ratio"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for case in survey.cases:
        if case.name in EDITS:
            continue
        table.add_row(
            case.name,
            f"{case.cpu_us_per_star:,.1f}",
            _served(case),
            f"{case.spread:.0%}",
            f"{case.wall_us_per_star:,.1f}",
            f"{case.stars:,}",
            "1",
            CASES[CaseName(case.name)].about,
            style="bold",
        )
        _add_peers(table, survey, against=case.name)
    measured = {case.name for case in survey.cases}
    for name in CaseName:
        if name not in measured:
            _add_peers(table, survey, against=name)
    return table


def _add_peers(table: Table, survey: Survey, *, against: str) -> None:
    for peer, figures in survey.peers:
        if peer.against == against:
            ratio = survey.ratio(peer, figures)
            table.add_row(
                f"  {peer.name}",
                f"{figures.cpu_us_per_star:,.1f}",
                _served(figures),
                f"{figures.spread:.0%}",
                f"{figures.wall_us_per_star:,.1f}",
                f"{figures.stars:,}",
                _ratio(ratio),
                peer.about,
            )


def _served(figures: Figures) -> str:
    return f"{figures.server_cpu_us_per_star:,.1f}" if figures.server_cpu_us_per_star is not None else ""


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"{ratio:,.1f}" if ratio >= 1 else f"{ratio:.2g}"


def _edits(survey: Survey) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("median µs", "p99 µs", "worst µs", "edits"):
        table.add_column(head, justify="right", no_wrap=True)
    for case in survey.cases:
        if case.name in EDITS:
            _add_edits(table, case.name, {**case.more, "edits": case.more["edits"]}, style="bold")
            for kind in case.more["kinds"]:
                _add_edits(table, f"  {kind['kind']}", kind, style="")
    return table


def _add_edits(table: Table, name: str, figures: dict[str, float], *, style: str) -> None:
    costs = (f"{figures[field]:,.1f}" for field in ("median_us", "p99_us", "worst_us"))
    table.add_row(name, *costs, f"{figures['edits']:,}", style=style)
