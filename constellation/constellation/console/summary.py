"""What is said when a run has ended: how it went, what failed and why, what was skipped, where the report is."""

from __future__ import annotations

from pathlib import Path

from ..orchestrator.report import RunReport, StarRow
from .formatting import CAUSE_LIMIT, by_state, counted, duration, some
from .lines import Line, Tone
from .sanitise import visible

FAILED_SHOWN = 20
"""How many failed stars are listed."""


def summarise(report: RunReport, *, report_file: Path | None = None) -> list[Line]:
    """The account of a run as lines."""
    good = report.state == "succeeded"
    lines = [Line(f"run {visible(report.run)} ({visible(report.name)}) {visible(report.state)}", _tone(good))]
    if report.error and not good and not report.stars.get("failed"):
        lines.append(Line(f"  why      {visible(report.error, limit=CAUSE_LIMIT)}", Tone.BAD))
    lines.append(Line(f"  stars    {by_state(report.stars)}"))
    if report.makespan_s > 0:
        lines.append(Line(f"  time     {_times(report)}"))
        lines.append(Line(f"  width    {counted(report.width, 'star')} at once"))
    if report.device_s:
        busy = [f"{device} {duration(seconds)}" for device, seconds in report.device_s.items()]
        lines.append(Line(f"  devices  {some(busy, most=8)}"))
    if report.devices_lost:
        lines.append(Line(f"  lost     {some(report.devices_lost, most=8)}", Tone.WARN))
    lines += _failures(report.rows)
    skipped = [row.id for row in report.rows if row.state == "skipped"]
    if skipped:
        lines.append(Line(f"  skipped  {some(skipped, most=10)}", Tone.WARN))
    if report_file is not None:
        lines.append(Line(f"  report   {visible(report_file)}"))
    return lines


def _tone(good: bool) -> Tone:
    return Tone.GOOD if good else Tone.BAD


def _times(report: RunReport) -> str:
    times = f"{duration(report.makespan_s)} from the first start to the last end"
    if report.speedup > 1:
        times += f"; one after another {duration(report.serial_s)}, so {report.speedup:.1f} times as fast"
    return times


def _failures(rows: tuple[StarRow, ...]) -> list[Line]:
    failed = [row for row in rows if row.state == "failed"]
    lines = [Line(f"  failed   {_failure(row)}", Tone.BAD) for row in failed[:FAILED_SHOWN]]
    if len(failed) > FAILED_SHOWN:
        lines.append(Line(f"           and {len(failed) - FAILED_SHOWN:,} more", Tone.BAD))
    return lines


def _failure(row: StarRow) -> str:
    text = visible(row.id)
    if row.device is not None:
        text += f" on {visible(row.device)}"
    if row.attempts > 1:
        text += f" after {row.attempts} tries"
    return f"{text}: {visible(row.error or 'no cause is known', limit=CAUSE_LIMIT)}"
