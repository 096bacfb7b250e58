"""Results kept until acknowledged: in memory and in a file that outlives the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from constellation_devices import kept as kept_module
from constellation_devices.errors import BadDeviceSetup, ResultsNotKept, StateInUse
from constellation_devices.kept import KeptResults, MemoryKept, SqliteKept
from constellation_protocol import Result


def result_of(attempt: str, output: object = 1) -> Result:
    return Result(attempt=attempt, epoch=3, status="succeeded", output=output)


@pytest.fixture(params=["memory", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeptResults]:
    made: KeptResults = MemoryKept() if request.param == "memory" else SqliteKept(tmp_path / "results.sqlite3")
    yield made
    made.close()


def test_a_result_is_kept_until_it_is_acknowledged(kept: KeptResults) -> None:
    kept.begin(["a", "b"])
    kept.keep(result_of("b", {"deep": [1]}))
    kept.keep(result_of("a"))
    assert sorted(kept.waiting()) == ["a", "b"]
    assert {result.attempt: result.output for result in kept.unacknowledged()} == {"a": 1, "b": {"deep": [1]}}
    kept.acknowledge(["b"])
    assert list(kept.waiting()) == ["a"]
    assert [result.attempt for result in kept.unacknowledged()] == ["a"]


def test_a_begun_attempt_stays_known(kept: KeptResults) -> None:
    assert not kept.begun("a")
    kept.begin(["a"])
    assert kept.begun("a")
    assert kept.result_of("a") is None
    kept.keep(result_of("a"))
    kept.acknowledge(["a"])
    assert kept.begun("a")


def test_acknowledging_what_is_not_there_changes_nothing(kept: KeptResults) -> None:
    kept.begin(["running"])
    kept.acknowledge(["running", "unheard-of"])
    assert kept.begun("running")
    kept.keep(result_of("running"))
    assert list(kept.waiting()) == ["running"]


def test_a_replaced_result_takes_the_place_of_the_first(kept: KeptResults) -> None:
    kept.begin(["a"])
    kept.keep(result_of("a", 1))
    kept.keep(result_of("a", 2))
    assert [result.output for result in kept.unacknowledged()] == [2]


def test_history_is_bounded_and_never_forgets_what_is_owed(kept: KeptResults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "HISTORY_LIMIT", 10)
    kept.begin(["owed"])
    kept.keep(result_of("owed"))
    for number in range(50):
        kept.begin([f"n{number}"])
        kept.keep(result_of(f"n{number}"))
        kept.acknowledge([f"n{number}"])
    assert list(kept.waiting()) == ["owed"]
    assert kept.begun("n49")
    assert not kept.begun("n0")


def test_an_acknowledged_result_can_still_be_told_from_the_file(tmp_path: Path) -> None:
    kept = SqliteKept(tmp_path / "results.sqlite3")
    kept.begin(["a"])
    kept.keep(result_of("a", "told"))
    kept.acknowledge(["a"])
    kept.close()
    kept = SqliteKept(tmp_path / "results.sqlite3")
    told = kept.result_of("a")
    assert told is not None
    assert told.output == "told"
    assert not kept.waiting()
    kept.close()


def test_what_was_running_when_the_process_ended_has_an_unknown_outcome(tmp_path: Path) -> None:
    kept = SqliteKept(tmp_path / "results.sqlite3", now=lambda: 123.0)
    kept.begin(["a"])
    kept.close()
    kept = SqliteKept(tmp_path / "results.sqlite3")
    (result,) = kept.unacknowledged()
    assert list(kept.waiting()) == ["a"]
    assert (result.status, result.started_at) == ("failed", 123.0)
    assert result.error is not None
    assert result.error.type == "AttemptOutcomeUnknown"
    kept.close()


def test_a_file_belongs_to_one_device_at_a_time(tmp_path: Path) -> None:
    kept = SqliteKept(tmp_path / "results.sqlite3")
    with pytest.raises(StateInUse, match=str(tmp_path)):
        SqliteKept(tmp_path / "results.sqlite3")
    kept.close()
    SqliteKept(tmp_path / "results.sqlite3").close()


def test_results_survive_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from constellation_devices.kept import SqliteKept; from constellation_protocol import Result\n"
        "kept = SqliteKept(Path(sys.argv[1])); kept.begin(['a', 'b'])\n"
        "kept.keep(Result(attempt='a', epoch=1, status='succeeded', output='survived'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    kept = SqliteKept(path)
    assert {result.attempt: result.output for result in kept.unacknowledged()} == {"a": "survived", "b": None}
    kept.close()


def _newer(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


@pytest.mark.parametrize(("spoil", "words"), [(_newer, "newer version"), (_garbage, "not a database")])
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "results.sqlite3"
    spoil(path)
    with pytest.raises(BadDeviceSetup, match=words):
        SqliteKept(path)


def test_a_full_disk_is_told_and_what_was_kept_before_stays(tmp_path: Path) -> None:
    place = tmp_path / "results.sqlite3"
    kept = SqliteKept(place)
    kept.begin(["a", "b"])
    kept.keep(result_of("a"))
    (pages,) = kept._database.execute("PRAGMA page_count").fetchone()
    kept._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ResultsNotKept, match=r"results\.sqlite3 any more \(database or disk is full\): make room"):
        kept.keep(result_of("b", "x" * 100_000))
    with pytest.raises(ResultsNotKept):
        kept.begin([f"c{number}" for number in range(10_000)])
    assert list(kept.waiting()) == ["a"]
    kept.close()
    again = SqliteKept(place)
    assert [(result.attempt, result.status) for result in again.unacknowledged()] == [
        ("a", "succeeded"),
        ("b", "failed"),
    ]
    again.close()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDeviceSetup, match="nowhere"):
        SqliteKept(tmp_path / "nowhere" / "results.sqlite3")
