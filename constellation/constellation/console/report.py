"""A run's report as a Markdown file: what ran where and for how long, and the graph as it was executed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.render import to_mermaid
from ..orchestrator.report import RunReport, StarRow
from .formatting import by_state, counted, duration
from .markdown import plain, section, table

if TYPE_CHECKING:
    from ..graph import TaskConstellation

ROWS = 2000
"""How many stars the table lists; those that failed are listed apart, and all of them."""

CAUSE_LIMIT = 2000


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


def render_report(report: RunReport, graph: TaskConstellation, *, findings: Sequence[str] = ()) -> str:
    """The report as Markdown text.

    Args:
        report: The run's account of itself.
        graph: The run's graph with the states of its stars.
        findings: What the run has found, as blocks of Markdown, to stand before how it was carried out.
    """
    parts = [
        f"# {plain(report.name)}: {plain(report.state)}",
        "\n".join(_facts(report)),
        *findings,
        *section("Failed", _failures(report)),
        *section("Skipped", _skipped(report)),
        *section("Devices", _devices(report)),
        *section("Lost devices", _losses(report)),
        *section("Stars", _stars(report.rows)),
        *section("As executed", ["```mermaid", to_mermaid(graph).rstrip("\n"), "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(report: RunReport) -> list[str]:
    facts = [f"- Run: {plain(report.run)}", f"- Stars: {by_state(report.stars)}"]
    if report.makespan_s > 0:
        facts += [
            f"- Time from the first start to the last end: {duration(report.makespan_s)}",
            f"- Time of all stars one after another: {duration(report.serial_s)}",
            f"- Speed-up over the serial sum: {report.speedup:.2f}",
            f"- Largest number of stars at once: {report.width}",
        ]
    if report.error:
        facts.append(f"- Why it ended so: {plain(report.error, CAUSE_LIMIT)}")
    return facts


def _failures(report: RunReport) -> list[str]:
    return [
        f"- {plain(row.id)}{_where(row)}: {plain(row.error or 'no cause is known', CAUSE_LIMIT)}"
        for row in report.rows
        if row.state == "failed"
    ]


def _where(row: StarRow) -> str:
    device = f" on {plain(row.device)}" if row.device is not None else ""
    return device + (f" after {row.attempts} tries" if row.attempts > 1 else "")


def _skipped(report: RunReport) -> list[str]:
    return [f"- {plain(row.id)}: {plain(row.error or '')}" for row in report.rows if row.state == "skipped"]


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
    return table(("Device", "Stars", "Time of work", "Of the makespan"), rows, right=(1, 2, 3))


def _share(seconds: float, whole: float) -> str:
    return f"{seconds / whole:.0%}" if whole > 0 else ""


def _losses(report: RunReport) -> list[str]:
    if not report.devices_lost:
        return []
    lines = [f"- {plain(device)} went away during the run" for device in report.devices_lost]
    for row in report.rows:
        lost_with = report.moved.get(row.id)
        if lost_with is not None and row.device is not None:
            outcome = f"placed again, and {row.state} on {plain(row.device)}"
            lines.append(f"- {plain(row.id)} was lost with {plain(lost_with)}, {outcome}")
    return lines


def _stars(rows: Sequence[StarRow]) -> list[str]:
    lines = table(
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
        lines += ["", f"… and {counted(len(rows) - ROWS, 'more star')}"]
    return lines
