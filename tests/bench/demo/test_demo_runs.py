"""The demo as users run it: real device processes, a real journal, and what happens when something is killed."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from constellation.cli import main
from constellation.graph.documents import dump
from constellation_bench.demo.fleet import make_fleet
from constellation_bench.demo.library import list_sources
from constellation_bench.demo.plan import MERGE, plan_audit

pytestmark = pytest.mark.e2e

FOUR = {spec.name for spec in make_fleet(4, root=Path("/"))}


@pytest.fixture
def demo(start: Callable[..., Any], library: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(*more: str) -> Any:
        return start("demo", "--root", str(library), "--report", str(tmp_path / "audit.md"), "--json", *more)

    return run


def is_scan(event: dict[str, Any]) -> bool:
    return str(event["star"]).startswith("scan-")


def test_the_devices_are_processes_of_their_own_that_are_connected_to_the_orchestrator(audited: Any) -> None:
    pids = audited.program.device_pids()
    assert set(pids) == FOUR
    assert len({*pids.values(), audited.program.process.pid}) == 5
    assert audited.connected == FOUR


def test_the_last_line_tells_the_end_and_names_the_report(audited: Any) -> None:
    assert (audited.code, audited.errors) == (0, "")
    last = audited.program.events[-1]
    assert last["event"] == "run_finished"
    assert last["state"] == "succeeded"
    assert last["report"] == str(audited.report)
    assert [event["seq"] for event in audited.program.events] == list(range(1, last["seq"] + 1))


def test_scans_run_side_by_side_on_different_devices(audited: Any) -> None:
    assert audited.program.events[-1]["width"] >= 4
    assert {told["device"] for told in audited.program.of("star_started") if is_scan(told)} >= {
        "scanner-1",
        "scanner-2",
        "scanner-3",
    }


def test_the_planner_edits_the_running_graph(audited: Any) -> None:
    edits = audited.program.of("graph_edited")
    looks = [star for edit in edits for star in edit["added"]]
    assert "look-strained_8" in looks
    assert {edit["author"] for edit in edits} == {"planner"}
    assert audited.program.of("edit_refused") == []
    assert audited.program.events[-1]["stars"] == {"succeeded": 6 + 3 + len(looks)}


def test_the_report_tells_findings_and_course(audited: Any) -> None:
    text = audited.report.read_text()
    for line in (
        "# library audit: succeeded",
        "| Source files | 21 |",
        "- pack/broken.py: line 1: invalid syntax",
        "- 2 modules: pack.first, pack.second",
        "| 12 | pack.first:4 copied, pack.second:4 copied |",
        "- Devices lost: none",
        "```mermaid",
    ):
        assert line in text.splitlines(), line


def test_files_are_carried_between_devices(audited: Any) -> None:
    carried = re.search(r"- Files of (\d+) of 6 scans were carried from other devices to", audited.report.read_text())
    assert carried is not None
    assert int(carried[1]) > 0


def test_the_library_is_left_as_it_was(audited: Any) -> None:
    assert audited.library_after == audited.library_before


def test_a_device_that_is_killed_loses_its_work_to_others(demo: Callable[..., Any], tmp_path: Path) -> None:
    program = demo("--devices", "3")
    victim = program.until("star_started", is_scan)
    psutil.Process(program.device_pids()[victim["device"]]).kill()
    assert program.finish()[0] == 0
    assert [told["device"] for told in program.of("device_left")] == [victim["device"]]
    settled = {told["star"]: told for told in program.of("star_settled")}[victim["star"]]
    assert settled["state"] == "succeeded"
    assert settled["device"] != victim["device"]
    text = (tmp_path / "audit.md").read_text()
    assert f"- Devices lost: {victim['device']}\n" in text
    title = victim["star"].replace("-", " ")
    assert f"- {title} was lost with {victim['device']} " in text
    assert f"and placed on {settled['device']}\n" in text


def test_a_killed_orchestrator_is_followed_by_another_that_finishes_the_run(
    demo: Callable[..., Any], start: Callable[..., Any], tmp_path: Path
) -> None:
    program = demo("--devices", "3", "--parts", "20")
    program.until("star_settled", is_scan)
    program.kill()
    done = {told["star"] for told in program.of("star_settled")}

    resumed = start("resume", program.events[0]["run"], "--json")
    assert resumed.finish() == (0, "")
    assert not done & {told["star"] for told in resumed.of("star_started")}
    last = resumed.events[-1]
    assert last["report"] == str(tmp_path / "audit.md")
    assert set(last["stars"]) == {"succeeded"}
    text = (tmp_path / "audit.md").read_text()
    assert "Taken up again after its orchestrator had stopped: 1 time;" in text
    # Whichever scan finds the worst module of all, and whenever: the planner gives it a look.
    assert "look at strained\\_8" in text


def test_ctrl_c_stops_the_devices_and_the_run_can_be_resumed_with_another_report(
    demo: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = demo("--devices", "2")
    program.until("star_started")
    family = psutil.Process(program.process.pid).children(recursive=True)
    program.process.send_signal(signal.SIGINT)
    code, errors = program.finish()
    assert code == 130
    run = program.events[0]["run"]
    assert f"constellation resume {run}" in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE], alive
    assert not (tmp_path / "audit.md").exists()

    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    assert main(["resume", run, "--report", str(tmp_path / "other.md")]) == 0
    assert f"report   {tmp_path / 'other.md'}" in capsys.readouterr().out
    assert "## What was found" in (tmp_path / "other.md").read_text()
    assert not (tmp_path / "audit.md").exists()


def test_without_json_a_run_of_the_seeds_plan_is_told_in_lines_and_a_summary(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    journal = str(tmp_path / "runs.db")
    options = ["--seed", "7", "--devices", "2", "--parts", "3", "--root", str(library), "--journal", journal]
    assert main(["demo", *options]) == 0
    told = capsys.readouterr().out
    assert "edit by planner: added look-" in told
    assert f"report   {tmp_path / 'report.md'}" in told
    assert main(["runs", "--journal", journal, "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept["info"]["app"] == "demo"
    assert kept["info"]["root"] == str(library)
    assert main(["show", kept["run"], "--journal", journal, "--format", "json"]) == 0
    ran = json.loads(capsys.readouterr().out)["stars"]
    planned = dump(plan_audit(library, list_sources(library), seed=7, parts=3))["stars"]
    for star, spec in planned.items():
        if star != MERGE:  # which the planner has edited
            assert {name: ran[star][name] for name in spec} == spec


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--root", "nowhere"], "is no directory"),
        (["--root", "{empty}"], "holds no Python sources; name a directory that does"),
        (["--report", "{empty}"], "is a directory"),
        (["--report", "{empty}/none/audit.md"], "there is no directory"),
        (["--devices", "1"], "--devices"),
        (["--parts", "0"], "--parts"),
    ],
)
def test_bad_input_is_told_on_one_line_and_starts_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    complaint: str,
) -> None:
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["demo", *(option.replace("{empty}", str(empty)) for option in options)]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_directory_with_too_many_files_is_bad_input(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("constellation_bench.demo.library.MAX_FILES", 3)
    assert main(["demo", "--root", str(library)]) == 2
    assert "holds more than 3 source files; give a smaller directory" in capsys.readouterr().err
