"""The last words about a run, and its report as a file."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest

from constellation import RunReport, StarRow
from constellation.console.report import ROWS, render_report, write_report
from constellation.console.summary import FAILED_SHOWN, summarise
from constellation.graph import Outcome, StarId, StarState, TaskConstellation


def row(star: str, state: str = "succeeded", **fields: typing.Any) -> StarRow:
    blank = StarRow(star, star, state, None, 0, None, None, None, None)
    return dataclasses.replace(blank, **fields)


def report_of(*rows: StarRow, **fields: typing.Any) -> RunReport:
    counts: dict[str, int] = {}
    for item in rows:
        counts[item.state] = counts.get(item.state, 0) + 1
    blank = RunReport("r1", "flow", "succeeded", counts, rows, 2, 2.0, 5.0, 2.5, {}, (), None, {})
    return dataclasses.replace(blank, **fields)


FAILED = report_of(
    row("scan-a", device="d2", attempts=2, duration_s=1.5),
    row("scan-b", "failed", device="d2", attempts=3, error="ToolFailed: no\x1b"),
    row("merge", "skipped", error="Skipped: waits for the success of 'scan-b', which failed"),
    state="failed",
    error="1 star(s) failed",
    device_s={"d1": 2.0, "d2": 3.0},
    devices_lost=("d1",),
    moved={"scan-a": "d1"},
)


def test_a_failed_run_says_what_failed_where_and_why_and_what_was_skipped() -> None:
    assert [line.text for line in summarise(FAILED, report_file=Path("/tmp/r.md"))] == [
        "run r1 (flow) failed",
        "  stars    1 succeeded, 1 failed, 1 skipped",
        "  time     2.0 s from the first start to the last end; one after another 5.0 s, so 2.5 times as fast",
        "  width    2 stars at once",
        "  devices  d1 2.0 s, d2 3.0 s",
        "  lost     d1",
        "  failed   scan-b on d2 after 3 tries: ToolFailed: no\\e",
        "  skipped  merge",
        "  report   /tmp/r.md",
    ]


def test_a_run_that_ended_for_another_reason_than_a_star_says_that() -> None:
    report = report_of(row("a", "cancelled"), state="cancelled", error="its deadline passed", makespan_s=0.0)
    assert [line.text for line in summarise(report)] == [
        "run r1 (flow) cancelled",
        "  why      its deadline passed",
        "  stars    1 cancelled",
    ]


def test_a_run_without_a_gain_claims_none() -> None:
    text = "\n".join(line.text for line in summarise(report_of(row("a"), speedup=1.0)))
    assert "times as fast" not in text


def test_many_failures_are_counted_rather_than_listed() -> None:
    rows = [row(f"s{number}", "failed") for number in range(FAILED_SHOWN + 5)]
    lines = [line.text for line in summarise(report_of(*rows, state="failed"))]
    assert sum(line.startswith("  failed") for line in lines) == FAILED_SHOWN
    assert "           and 5 more" in lines
    assert "  failed   s0: no cause is known" in lines


def graph_of(*stars: str) -> TaskConstellation:
    graph = TaskConstellation("flow")
    for star in stars:
        graph.star(star, "system_profile")
    graph.activate()
    for star in stars:
        graph.enter(StarId(star), StarState.ASSIGNED)
        graph.settle(StarId(star), StarState.SUCCEEDED, Outcome(output=1), at=1.0)
    return graph


def test_the_report_holds_tables_losses_and_the_executed_graph() -> None:
    text = render_report(FAILED, graph_of("scan-a"))
    for part in (
        "# flow: failed",
        "- Speed-up over the serial sum: 2.50",
        "- Largest number of stars at once: 2",
        "## Failed\n\n- scan-b on d2 after 3 tries: ToolFailed: no\\\\e",
        "## Skipped\n\n- merge: Skipped: waits for the success of 'scan-b', which failed",
        "| d1 | 0 | 2.0 s | 100% |\n| d2 | 2 | 3.0 s | 150% |",
        "## Lost devices\n\n- d1 went away during the run\n- scan-a was lost with d1, placed again, and "
        "succeeded on d2",
        "| scan-a | succeeded | d2 | 2 | 1.5 s |",
        '```mermaid\nflowchart TD\n  n0["✓ scan-a"]:::succeeded',
    ):
        assert part in text


def test_a_run_that_did_nothing_has_a_short_report() -> None:
    report = report_of(state="cancelled", error="stopped", makespan_s=0.0)
    text = render_report(report, TaskConstellation("flow"))
    assert "- Why it ended so: stopped" in text
    assert "Speed-up" not in text
    assert "## Devices" not in text
    assert "## Lost" not in text


def test_a_device_without_a_makespan_has_no_share() -> None:
    text = render_report(report_of(row("a", device="d1"), device_s={"d1": 0.0}, makespan_s=0.0), graph_of("a"))
    assert "| d1 | 1 | 0 ms |  |" in text


def test_hostile_names_stay_text_in_the_report() -> None:
    name = "x|y <script>\n# big `code` [a](b) \x1b[2J"
    text = render_report(report_of(row("a", name=name, error=name), name=name), graph_of("a"))
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "x\\|y" in text
    assert "\\\\n# big \\`code\\` \\[a\\](b) \\\\e\\[2J (a)" in text.replace("\\#", "#")
    assert text.count("\n# ") == 0


def test_a_large_report_lists_a_bounded_number_of_stars() -> None:
    rows = [row(f"s{number}") for number in range(ROWS + 7)]
    text = render_report(report_of(*rows), graph_of("a"))
    assert f"s{ROWS - 1} " in text
    assert f"s{ROWS} " not in text
    assert "… and 7 more stars" in text


def test_the_file_is_replaced_and_errors_name_it(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    path.write_text("old")
    write_report(FAILED, graph_of("scan-a"), path)
    assert path.read_text(encoding="utf-8") == render_report(FAILED, graph_of("scan-a"))
    with pytest.raises(OSError, match=r"missing/r\.md"):
        write_report(FAILED, graph_of("a"), tmp_path / "missing" / "r.md")
