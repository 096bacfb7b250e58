"""`constellation gc`, on journals with runs that have really ended."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from constellation.cli import main
from constellation.journal import Record, open_journal
from constellation.orchestrator.homes import using_files
from constellation_protocol.artifacts import ArtifactStore

OLD = 1_000.0
DAY_S = 86_400.0


async def fill(place: str) -> None:
    """Three runs that ended in 1970, one of which has another nested in it, and one that never ended."""
    async with open_journal(place) as journal:
        for n, (run, parent) in enumerate([("a", None), ("b", None), ("b:x", "b"), ("c", None), ("on", None)]):
            await journal.create_run(run, name=f"flow {run}", at=OLD + n, parent=parent)
            await journal.append([Record(run, seq, OLD + n, "k", os.urandom(50_000)) for seq in range(1, 11)])
            await journal.set_state(run, "cancelled" if run == "on" else "succeeded", at=OLD + n)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url: str = request.getfixturevalue("postgres_url") if request.param == "postgres" else str(tmp_path / "old.db")
    anyio.run(fill, url)
    return url


def runs(place: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["runs", "--journal", place, "--json"]) == 0
    return [json.loads(line)["run"] for line in capsys.readouterr().out.splitlines()]


async def set_running(place: str) -> None:
    async with open_journal(place) as journal:
        await journal.set_state("on", "running", at=OLD)


def test_old_runs_are_removed_with_those_nested_in_them(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--journal", place, "--keep", "2", "--json"]) == 0
    *told, files = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["run"], row["nested"], row["events"]) for row in told] == [("b", 1, 20), ("a", 0, 10)]
    assert files == {"files": 0, "bytes": 0, "fleets": 0, "kept": None}
    assert (told[0]["name"], told[0]["state"], told[0]["updated_at"]) == ("flow b", "succeeded", OLD + 1)
    assert runs(place, capsys) == ["on", "c"]
    assert main(["show", "b:x", "--journal", place]) == 2


def test_a_dry_run_says_the_same_and_removes_nothing(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--journal", place, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["RUN", "STATE", "ENDED", "EVENTS", "NAME"]
    assert lines[-1] == "4 runs would be removed"
    assert len(runs(place, capsys)) == 4


def test_what_is_not_old_enough_stays(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--journal", place, "--older-than", "5200w"]) == 0
    assert capsys.readouterr().out == "no run is old enough to be removed\n"
    assert len(runs(place, capsys)) == 4


def test_a_sqlite_file_shrinks_unless_a_run_is_going_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.db"
    anyio.run(fill, str(file))
    anyio.run(set_running, str(file))
    before = file.stat().st_size
    assert main(["gc", "--journal", str(file), "--keep", "3"]) == 0
    assert capsys.readouterr().out.endswith("1 run removed; their space is used again by the runs to come\n")
    assert file.stat().st_size == before
    anyio.run(set_cancelled, str(file))
    assert main(["gc", "--journal", str(file)]) == 0
    assert capsys.readouterr().out.endswith("3 runs removed\n")
    assert file.stat().st_size < before / 10


async def set_cancelled(place: str) -> None:
    async with open_journal(place) as journal:
        await journal.set_state("on", "cancelled", at=OLD)


async def refer(place: str, run: str, *digests: str) -> None:
    async with open_journal(place) as journal:
        body = json.dumps({"output": [{"$artifact": digest, "size": 9} for digest in digests]}).encode()
        await journal.append([Record(run, 11, OLD, "k", body)])


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for good"])
def test_files_that_only_removed_runs_refer_to_go_with_them(
    place: str, home: Path, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    store = ArtifactStore(home / "artifacts")
    wanted, unwanted, young = (store.put_bytes(text.encode() * 100_000).sha256 for text in "abc")
    anyio.run(refer, place, "c", wanted)
    anyio.run(refer, place, "a", wanted, unwanted)
    for digest in (wanted, unwanted):
        os.utime(store.path(digest), (OLD, OLD))
    assert main(["gc", "--journal", place, "--keep", "2", *(["--dry-run"] if dry_run else [])]) == 0
    told = "would be removed" if dry_run else "removed"
    assert capsys.readouterr().out.endswith(f"1 file that no run refers to {told}: 0.1 MiB\n")
    assert [store.has(digest) for digest in (wanted, unwanted, young)] == [True, dry_run, True]


def test_what_a_fleet_has_left_goes_unless_a_run_needs_it(
    place: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, needed = (home / "fleets" / f"{2**22 + number:x}-00000000000{number}" for number in range(2))
    for folder in (dead, needed):
        (folder / "device-1").mkdir(parents=True)
        (folder / "device-1" / "results").write_bytes(bytes(2**20))
        os.utime(folder, (OLD, OLD))
    anyio.run(have_fleet, place, needed.name)
    assert main(["gc", "--journal", place, "--keep", "9"]) == 0
    assert capsys.readouterr().out.endswith("what 1 fleet has left removed: 1.0 MiB\n")
    assert (dead.exists(), needed.exists()) == (False, True)


async def have_fleet(place: str, fleet: str) -> None:
    async with open_journal(place) as journal:
        await journal.set_state("on", "running", at=OLD, info={"fleet": fleet})


def test_no_file_goes_while_a_journal_that_may_need_it_can_not_be_asked(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ArtifactStore(home / "artifacts")
    digest = store.put_bytes(b"perhaps needed").sha256
    os.utime(store.path(digest), (OLD, OLD))
    other = tmp_path / "other.db"
    with using_files(home, other):
        other.write_bytes(b"this is no database" * 1000)
    assert main(["gc", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == 0
    assert told["kept"].startswith(f"files stay: the runs of the journal {other} may need them")
    assert store.has(digest)
    other.unlink()
    assert main(["gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1, "a journal that was deleted needs nothing"


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1y", "1e9d", "30 d"])
def test_an_age_that_makes_no_sense_is_refused(age: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--older-than", age]) == 2
    assert "give a number and s, m, h, d or w, as in 30d" in capsys.readouterr().err
