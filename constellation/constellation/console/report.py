"""A run's report as a Markdown file: what ran where and for how long, and the graph as it was executed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.render import to_mermaid
from ..orchestrator.report import RunReport, StarRow
from .formatting import by_state, counted, duration
from .sanitise import visible

if TYPE_CHECKING:
    from ..graph import TaskConstellation

ROWS = 2000
"""How many stars the table lists; those that failed are listed apart, and all of them."""

CELL_LIMIT = 200
CAUSE_LIMIT = 2000

_MARKUP = frozenset("\\`*_{}[]<>#|~&$")
"""Characters that mean something to Markdown in the middle of a line."""


def write_report(report: RunReport, graph: TaskConstellation, path: Path) -> None:
    """Write a run's report as Markdown.

    Args:
        report: The run's account of itself.
        graph: The run's graph with the states of its stars.
        path: The file, which is replaced when it exists.

    Raises:
        OSError: the file can't be written.
    """
    path.write_text(render_report(report, graph), encoding="utf-8")


def render_report(report: RunReport, graph: TaskConstellation) -> str:
    """The report as Markdown text."""
    parts = [
        f"# {_text(report.name)}: {_text(report.state)}",
        "\n".join(_facts(report)),
        *_section("Failed", _failures(report)),
        *_section("Skipped", _skipped(report)),
        *_section("Devices", _devices(report)),
        *_section("Lost devices", _losses(report)),
        *_section("Stars", _stars(report.rows)),
        *_section("As executed", ["```mermaid", to_mermaid(graph).rstrip("\n"), "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(lines)] if lines else []


def _facts(report: RunReport) -> list[str]:
    facts = [f"- Run: {_text(report.run)}", f"- Stars: {by_state(report.stars)}"]
    if report.makespan_s > 0:
        facts += [
            f"- Time from the first start to the last end: {duration(report.makespan_s)}",
            f"- Time of all stars one after another: {duration(report.serial_s)}",
            f"- Speed-up over the serial sum: {report.speedup:.2f}",
            f"- Largest number of stars at once: {report.width}",
        ]
    if report.error:
        facts.append(f"- Why it ended so: {_text(report.error, CAUSE_LIMIT)}")
    return facts


def _failures(report: RunReport) -> list[str]:
    return [
        f"- {_text(row.id)}{_where(row)}: {_text(row.error or 'no cause is known', CAUSE_LIMIT)}"
        for row in report.rows
        if row.state == "failed"
    ]


def _where(row: StarRow) -> str:
    device = f" on {_text(row.device)}" if row.device is not None else ""
    return device + (f" after {row.attempts} tries" if row.attempts > 1 else "")


def _skipped(report: RunReport) -> list[str]:
    return [f"- {_text(row.id)}: {_text(row.error or '')}" for row in report.rows if row.state == "skipped"]


def _devices(report: RunReport) -> list[str]:
    if not report.device_s:
        return []
    counts: dict[str, int] = {}
    for row in report.rows:
        if row.device is not None:
            counts[row.device] = counts.get(row.device, 0) + 1
    rows = (
        (device, f"{counts.get(device, 0):,}", duration(seconds), _share(seconds, report.makespan_s))
        for device, seconds in report.device_s.items()
    )
    return _table(("Device", "Stars", "Time of work", "Of the makespan"), rows, right=(1, 2, 3))


def _share(seconds: float, whole: float) -> str:
    return f"{seconds / whole:.0%}" if whole > 0 else ""


def _losses(report: RunReport) -> list[str]:
    if not report.devices_lost:
        return []
    lines = [f"- {_text(device)} went away during the run" for device in report.devices_lost]
    lost = set(report.devices_lost)
    for row in report.rows:
        if row.attempts > 1 and row.device is not None and row.device not in lost:
            lines.append(f"- {_text(row.id)} was placed again, and {row.state} on {_text(row.device)}")
    return lines


def _stars(rows: Sequence[StarRow]) -> list[str]:
    table = _table(
        ("Star", "State", "Device", "Tries", "Time"),
        (
            (
                row.name if row.name == row.id else f"{row.name} ({row.id})",
                row.state,
                row.device or "",
                str(row.attempts or ""),
                duration(row.duration_s) if row.duration_s is not None else "",
            )
            for row in rows[:ROWS]
        ),
        right=(3, 4),
    )
    if len(rows) > ROWS:
        table += ["", f"… and {counted(len(rows) - ROWS, 'more star')}"]
    return table


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    rules = ["---:" if column in right else "---" for column in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(rules)} |"]
    return lines + [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]


def _text(text: str, limit: int = CELL_LIMIT) -> str:
    """Text that stays text: on one line, and with nothing in it that Markdown or HTML would act on."""
    return "".join(f"\\{sign}" if sign in _MARKUP else sign for sign in visible(text, limit=limit))
