"""`constellation bench chaos`: real hubs and devices, killed and cut off, with a file and with PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from constellation.cli import main
from constellation.journal.memory import MemoryJournal
from constellation_bench.chaos import run as module
from constellation_bench.chaos.effects import Effect
from constellation_bench.chaos.progress import Progress
from constellation_bench.errors import Standstill

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("home")]

WAIT_S = 60.0

QUIET = ("--stars", "60", "--kills", "0", "--cuts", "0", "--work-ms", "10")

Out = pytest.CaptureFixture[str]


def told(out: Out) -> dict[str, Any]:
    """The last line that was printed, JSON."""
    shown: dict[str, Any] = json.loads(out.readouterr().out.splitlines()[-1])
    return shown


def test_nothing_is_lost_and_nothing_done_twice_while_all_are_killed_and_cut_off(capsys: Out, home: Path) -> None:
    options = ("--stars", "400", "--kills", "10", "--cuts", "10", "--work-ms", "150", "--seed", "4")
    assert main(["bench", "chaos", *options, "--json"]) == 0
    shown = told(capsys)
    assert list(shown)[:8] == [
        "stars", "ended", "kills", "cuts", "lost", "double_effects", "unknown", "idempotent_reruns",
    ]  # fmt: skip
    assert (shown["stars"], shown["ended"], shown["kills"], shown["cuts"]) == (400, 400, 10, 10)
    assert shown["hub_kills"] > 0
    assert shown["device_kills"] > 0
    assert shown["lost"] == shown["double_effects"] == shown["unaccounted"] == shown["astray"] == shown["crashes"] == 0
    assert shown["effects"] >= 400 - shown["unknown"]
    assert list(home.glob("constellation-chaos-*")) == []


@pytest.mark.timeout(240)
def test_a_hub_that_stands_by_takes_over_within_twice_the_lease(capsys: Out, home: Path, postgres_url: str) -> None:
    options = ("--stars", "300", "--kills", "5", "--cuts", "5", "--freezes", "1", "--seed", "4")
    assert main(["bench", "chaos", *options, "--store", postgres_url, "--json"]) == 0
    shown = told(capsys)
    assert (shown["ended"], shown["kills"], shown["lost"], shown["double_effects"]) == (300, 5, 0, 0)
    assert shown["takeovers"] == shown["hub_kills"] > 0
    assert shown["freezes"] == shown["frozen_takeovers"] == 1
    assert 0 < shown["takeover_max_s"] < 2 * shown["lease_s"]
    assert 0 < shown["frozen_takeover_max_s"] < 2 * shown["lease_s"]


def test_a_run_without_disturbances_is_told_in_lines_and_its_progress_on_the_standard_error(capsys: Out) -> None:
    assert main(["bench", "chaos", *QUIET]) == 0
    out, err = capsys.readouterr()
    assert {line.rsplit(None, 1)[0].strip(): line.split()[-1] for line in out.splitlines()}["double effects"] == "0"
    assert err.splitlines()[0] == "starting hubs and devices"
    assert "60 of 60 stars ended, 0 of 0 kills, 0 of 0 cuts, 1 of 1 hubs up, 4 of 4 devices up" in err


def test_what_must_not_be_ends_the_command_with_an_error_and_its_files_are_kept(
    capsys: Out, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Callable[..., Iterator[Effect]] = module.read_effects
    # Planted: one effect is gone, and one is there twice.
    monkeypatch.setattr(module, "read_effects", lambda folders: [(found := list(read(folders)))[1], *found[1:]])
    assert main(["bench", "chaos", *QUIET, "--json"]) == 1
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert (shown["lost"], shown["double_effects"]) == (1, 1)
    assert "error: the measurement found what must not be: 1 star lost (star-" in err
    (kept,) = home.glob("constellation-chaos-*")
    assert f"kept in {kept}" in err
    assert {"journal.db", "hub-1.log", "device-4.log"} <= {file.name for file in kept.iterdir()}


def test_a_run_that_is_over_before_all_was_done_to_it_does_not_pass(capsys: Out) -> None:
    assert main(["bench", "chaos", "--stars", "1", "--kills", "0", "--cuts", "40", "--work-ms", "0", "--json"]) == 1
    assert "of 40 cuts before the run was over: give more --stars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--store", "mysql://db"), "--store takes the postgresql:// URL of a database"),
        (("--freezes", "1"), "--freezes takes another hub that takes over: give --store"),
        (("--folder", "no/such"), "--folder no/such is no directory; make it first"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: tuple[str, ...], message: str, capsys: Out) -> None:
    assert main(["bench", "chaos", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.anyio
async def test_a_run_that_does_not_go_on_is_told_as_a_standstill() -> None:
    journal = MemoryJournal()
    await journal.create_run("r", name="r", at=1.0)
    looks: list[None] = []
    progress = Progress(journal, "r", patience_s=0.2, looked=lambda: looks.append(None))
    with anyio.fail_after(WAIT_S), pytest.raises(Standstill, match=r"no record for 0\.2 s"):
        await progress.follow()
    assert looks


@pytest.fixture
def program(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A chaos run that goes on for a while."""
    command = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())"]
    with subprocess.Popen([*command, "bench", "chaos"], stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_ctrl_c_ends_the_command_with_all_hubs_and_devices(program: subprocess.Popen[str], home: Path) -> None:
    assert program.stderr is not None
    while "stars ended" not in program.stderr.readline():
        assert program.poll() is None
    family = psutil.Process(program.pid).children(recursive=True)
    assert len(family) >= 5  # a hub, and four devices
    program.send_signal(signal.SIGINT)
    assert program.wait(WAIT_S) == 130
    _, alive = psutil.wait_procs(family, timeout=WAIT_S)
    assert [process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert list(home.glob("constellation-chaos-*")) == []
