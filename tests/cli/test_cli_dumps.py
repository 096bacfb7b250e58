"""`dump` and `replay`: a run in a file, and what the file tells without the journal that it is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import Nested, Orchestrator, TaskConstellation
from constellation.cli import main
from constellation.graph.documents import dump as document_of
from constellation.orchestrator.state_dump import read_dump

TEXT = "a private text\x1b"


async def _run(journal: str) -> str:
    inner = TaskConstellation("inner")
    inner.star("who", "system_profile")
    graph = TaskConstellation("outer")
    profile = graph.star("profile", "system_profile")
    graph.star("missing", "files_read", path=TEXT, after=[profile])
    graph.star("inside", Nested(document_of(inner)))
    async with Orchestrator.local(1, journal=journal) as orchestrator:
        run = await orchestrator.submit(graph)
        await run.wait()
        return run.id


@pytest.fixture
def run(home: Path) -> str:
    return anyio.run(_run, "j.db")


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[str]:
    assert main(list(arguments)) == code
    return capsys.readouterr().out.splitlines()


def test_a_run_is_dumped_by_the_beginning_of_its_id_and_replayed_without_its_journal(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = told(capsys, "dump", run[:-2], "--journal", "j.db")
    assert line.startswith(f"{run}.dump.json: ")
    Path("j.db").unlink()
    head, columns, *rows = told(capsys, "replay", f"{run}.dump.json")
    records = len(read_dump(Path(f"{run}.dump.json")).runs[0].records)
    assert head == f"run {run} after {records} of {records} records: failed"
    assert columns.split() == ["STAR", "STATE", "WHY"]
    assert {row.split()[0]: row.split()[1] for row in rows} == {
        "profile": "succeeded", "missing": "failed", "inside": "succeeded"
    }  # fmt: skip
    assert "\x1b" not in "".join(rows)


def test_a_replay_stops_where_it_is_told_and_says_what_stars_wait_for(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "dump", run, "--journal", "j.db", "-o", "d.json")
    (text,) = told(capsys, "replay", "d.json", "--to", "1", "--json")
    data = json.loads(text)
    assert (data["run"], data["records"], data["state"]) == (run, 1, "running")
    assert data["stars"] == {"profile": "ready", "missing": "pending", "inside": "running"}
    assert data["waiting"]["missing"] == "waits for 'profile' (ready)"
    assert (data["problem"], data["differences"], data["story"]) == (None, [], None)


def test_a_replay_tells_the_story_of_a_star(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "dump", run, "--journal", "j.db", "-o", "d.json")
    lines = told(capsys, "replay", "d.json", "--story", "missing")
    assert any("began with attempt" in line for line in lines)
    assert lines[-1].endswith("the run ended: failed")
    lines = told(capsys, "replay", "d.json", "--run", f"{run}:inside", "--story", "who")
    assert lines[-1].endswith("the run ended: succeeded")
    lines = told(capsys, "replay", "d.json", "--to", "1", "--story", "nobody")
    assert lines[1:] == ["nothing in these records is about this star"]


def test_a_run_that_is_not_in_the_dump_is_named_with_those_that_are(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "dump", run, "--journal", "j.db", "-o", "d.json")
    assert main(["replay", "d.json", "--run", "other"]) == 2
    assert capsys.readouterr().err == f"error: the dump has no run 'other'; it has {run}, {run}:inside\n"


def test_a_redacted_dump_has_no_private_text_and_replays_alike(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(capsys, "dump", run, "--journal", "j.db", "--redact", "-o", "d.json")
    assert "without private texts" in line
    assert "a private text" not in Path("d.json").read_text()
    (text,) = told(capsys, "replay", "d.json", "--json")
    assert json.loads(text)["state"] == "failed"


def test_a_replay_of_damaged_records_says_at_which_one_it_broke(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "dump", run, "--journal", "j.db", "-o", "d.json")
    data: dict[str, Any] = json.loads(Path("d.json").read_text())
    data["runs"][0]["records"][3]["body"] = data["runs"][0]["records"][1]["body"]
    Path("d.json").write_text(json.dumps(data))
    lines = told(capsys, "replay", "d.json", code=1)
    assert lines[0].startswith(f"run {run} after 3 of ")
    assert lines[-1] == "record 4: it changes nothing here, but did when it was written"


def test_what_the_orchestrator_thought_is_held_against_the_records(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "dump", run, "--journal", "j.db", "-o", "d.json")
    data: dict[str, Any] = json.loads(Path("d.json").read_text())
    stars = {"profile": "succeeded", "missing": "running", "inside": "succeeded"}
    records = len(data["runs"][0]["records"])
    data["runs"][0]["live"] = {"state": "running", "records": records, "stale": 0, "stars": stars, "attempts": {}}
    Path("d.json").write_text(json.dumps(data))
    lines = told(capsys, "replay", "d.json", code=1)
    assert lines[-2:] == [
        "not as when the dump was made: the run was running",
        "not as when the dump was made: star 'missing' was running, and is failed by its records",
    ]


def test_a_file_that_is_no_dump_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("d.json").write_text("{")
    assert main(["replay", "d.json"]) == 2
    assert capsys.readouterr().err.startswith("error: d.json is no dump: it is no JSON")


def test_a_dump_is_of_a_journal_or_of_a_hub(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", "r", "--hub", "ws://127.0.0.1:1", "--journal", "j.db"]) == 2
    assert "--journal can't go with --hub" in capsys.readouterr().err
    assert main(["dump", "r", "--journal", "j.db"]) == 2
    assert "no run" in capsys.readouterr().err
