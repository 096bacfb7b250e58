"""`constellation bench`: small runs of each command, as JSON and for people; peers that are missing, or fail."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from constellation.cli import main
from constellation_bench import commands
from constellation_bench.overhead import subjects
from constellation_bench.overhead.subjects import PEERS, CaseName, Peer

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("home")]

WAIT_S = 60.0

Out = pytest.CaptureFixture[str]


def told(out: Out, *arguments: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    assert main(["bench", *arguments, "--json"]) == 0
    shown: dict[str, Any] = json.loads(out.readouterr().out)
    return shown


def test_the_help_lists_the_benchmarks(capsys: Out) -> None:
    assert main(["bench", "--help"]) == 0
    out = capsys.readouterr().out
    names = ("overhead", "scaling", "holds", "chaos", "artifact", "tools", "llm")
    assert [name for name in names if f"  {name} " in out] == list(names)


class TestOverhead:
    def test_every_case_is_measured_and_the_peers_that_need_nothing(self, capsys: Out) -> None:
        peers = ("--peer", "in_degree", "--peer", "asyncio_graphlib")
        shown = told(capsys, "overhead", "--stars", "120", "--peer-stars", "120", "--repeats", "2", *peers)
        skipped = {skip["name"] for skip in shown["skipped"]}
        assert skipped <= {CaseName.JOURNALED_POSTGRES}
        assert [case["name"] for case in shown["cases"]] == [name.value for name in CaseName if name not in skipped]
        for entry in shown["cases"] + shown["peers"]:
            assert entry["repeats"] == 2
            assert entry["cpu_us_per_star"] > 0
            assert entry["wall_us_per_star"] > 0
        for case in shown["cases"]:
            if case["name"].startswith("edit"):
                assert case["stars"] == 400
                assert 0 < case["median_us"] <= case["p99_us"] <= case["worst_us"]
            else:
                assert case["stars"] == 120
        ours = shown["cases"][0]
        for peer in shown["peers"]:
            assert (peer["against"], peer["versions"]) == ("in_process", {})
            assert peer["ratio"] == pytest.approx(peer["cpu_us_per_star"] / ours["cpu_us_per_star"], abs=0.002)
        assert {"python", "cpus", "file_system"} <= set(shown["host"])

    def test_the_table_has_a_row_for_each_and_progress_goes_to_the_standard_error(self, capsys: Out) -> None:
        cases = ("--case", "in_process", "--case", "edit_batch")
        assert main(["bench", "overhead", "--stars", "20", "--repeats", "1", *cases, "--peer", "in_degree"]) == 0
        out, err = capsys.readouterr()
        assert [line.split()[0] for line in out.splitlines() if line.startswith(("in_", "  in_", "edit_"))] == [
            "in_process",
            "in_degree",
            "edit_batch",
        ]
        assert err.splitlines()[0] == "round 1 of 1: in_process, 20 stars"

    def test_peers_that_are_not_installed_are_skipped_with_what_to_install(
        self, capsys: Out, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subjects, "_is_installed", lambda package: False)
        peers = ("--peer", "langgraph_sqlite", "--peer", "in_degree", "--case", "in_process")
        shown = told(capsys, "overhead", "--stars", "10", "--peer-stars", "10", "--repeats", "1", *peers)
        assert [peer["name"] for peer in shown["peers"]] == ["in_degree"]
        (skipped,) = shown["skipped"]
        assert skipped["name"] == "langgraph_sqlite"
        assert skipped["reason"].startswith("langgraph, langgraph-checkpoint-sqlite not installed: pip install")

    def test_a_peer_that_fails_is_told_and_the_others_go_on(self, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(PEERS, "broken", Peer("broken", "has no module", CaseName.IN_PROCESS))  # type: ignore[misc]
        peers = ("--peer", "broken", "--peer", "in_degree", "--case", "in_process")
        shown = told(capsys, "overhead", "--stars", "10", "--peer-stars", "10", "--repeats", "2", *peers)
        assert [peer["name"] for peer in shown["peers"]] == ["in_degree"]
        (failed,) = shown["failed"]
        assert failed["name"] == "broken"
        assert "No module named 'constellation_bench.overhead.peers.broken'" in failed["reason"]

    def test_a_case_of_ours_that_fails_ends_it(self, capsys: Out) -> None:
        slow = ("--stars", "100000", "--timeout", "1")
        assert main(["bench", "overhead", "--case", "in_process", "--peer", "none", *slow]) == 1
        assert "error: the measurement took longer than 1 s and was ended" in capsys.readouterr().err

    @pytest.mark.requires_module("matplotlib")
    @pytest.mark.parametrize("suffix", ["png", "svg"])
    def test_the_figures_are_drawn(self, suffix: str, capsys: Out, tmp_path: Path) -> None:
        picture = tmp_path / f"overhead.{suffix}"
        chosen = ("--case", "edit_batch", "--peer", "in_degree", "--peer-stars", "10")
        told(capsys, "overhead", "--stars", "10", "--repeats", "1", *chosen, "--plot", str(picture))
        begins = {"png": b"\x89PNG", "svg": b"<?xml"}
        assert picture.read_bytes().startswith(begins[suffix])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--peer", "airflow"), "--peer 'airflow' is none of in_degree,"),
            (("--peer", "none", "--peer", "ray"), "--peer none can't go with other peers"),
            (("--plot", "figures.pdf"), "the file's name has to end with .png or .svg"),
            (("--plot", "no/such/figures.png"), "there is no directory no/such; make it first"),
            (("--folder", "no/such"), "--folder no/such is no directory; make it first"),
        ],
    )
    def test_options_that_make_no_sense_are_refused_before_anything_is_measured(
        self, options: tuple[str, ...], message: str, capsys: Out
    ) -> None:
        assert main(["bench", "overhead", *options]) == 2
        assert message in capsys.readouterr().err

    def test_a_plot_without_matplotlib_is_refused_with_what_to_install(
        self, capsys: Out, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert main(["bench", "overhead", "--plot", "figures.png"]) == 2
        assert "pip install 'constellation-agents[bench]'" in capsys.readouterr().err

    def test_a_folder_in_memory_is_warned_of(
        self, capsys: Out, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("constellation_bench.machine.file_system", lambda path: "tmpfs")
        assert commands.disk_folder(tmp_path) == tmp_path
        assert "journals are not durable there" in capsys.readouterr().err


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_each_peer_that_is_installed_runs_all_stars(peer: Peer, capsys: Out) -> None:
    if (reason := peer.missing()) is not None:
        pytest.skip(reason)
    chosen = ("--case", "edit_batch", "--peer", peer.name)
    shown = told(capsys, "overhead", "--stars", "10", "--peer-stars", "220", "--repeats", "1", *chosen)
    assert shown["failed"] == []
    (figures,) = shown["peers"]
    assert (figures["name"], figures["stars"], figures["ratio"]) == (peer.name, 220, None)
    assert set(figures["versions"]) == set(peer.packages)


def test_scaling_tells_cpu_time_and_memory_for_each_size(capsys: Out) -> None:
    shown = told(capsys, "scaling", "--stars", "600", "--stars", "100", "--repeats", "2")
    assert [size["stars"] for size in shown["sizes"]] == [100, 600]
    assert all(size["cpu_us_per_star"] > 0 and size["run_bytes_per_star"] > 0 for size in shown["sizes"])
    small, large = (size["cpu_us_per_star"] for size in shown["sizes"])
    assert shown["growth"] == pytest.approx(large / small, abs=0.002)


def test_scaling_prints_a_table(capsys: Out) -> None:
    assert main(["bench", "scaling", "--stars", "100", "--repeats", "1"]) == 0
    assert "A star of the largest graph costs 1.00 times" in capsys.readouterr().out


HOLDS = ("--width", "6", "--depth", "4", "--reviews", "2", "--work-ms", "20", "--review-ms", "300", "--repeats", "1")


def test_a_review_holds_what_comes_after_and_a_global_lock_all_else_too(capsys: Out) -> None:
    shown = told(capsys, "holds", *HOLDS)
    assert [mode["name"] for mode in shown["modes"]] == ["no_review", "hold", "global_lock"]
    nothing, hold, lock = shown["modes"]
    assert (nothing["bound_s"], hold["bound_s"], hold["unrelated_bound_s"]) == (0.08, 0.38, 0.08)
    for mode in shown["modes"]:
        assert mode["total_s"] >= mode["bound_s"]
        assert mode["unrelated_s"] >= mode["unrelated_bound_s"]
        assert mode["ratio"] == pytest.approx(mode["total_s"] / mode["bound_s"], abs=0.002)
    assert hold["unrelated_s"] < hold["bound_s"] <= lock["unrelated_s"]
    assert lock["total_s"] >= 2 * 0.3 + 3 * 0.02


def test_holds_prints_a_table(capsys: Out) -> None:
    assert main(["bench", "holds", *HOLDS]) == 0
    out = capsys.readouterr().out
    assert "6 chains of 4 stars of 20 ms" in out
    assert out.splitlines()[-1].startswith("global_lock")


def test_more_reviews_than_chains_are_refused(capsys: Out) -> None:
    assert main(["bench", "holds", "--width", "3", "--reviews", "4"]) == 2
    assert "--reviews 4 is more than there are chains" in capsys.readouterr().err


def test_a_file_is_carried_whole_and_with_a_cut_on_each_wire(capsys: Out) -> None:
    shown = told(capsys, "artifact", "--size", "4MiB")
    assert shown["size"] == 2**22
    assert [sample["cuts"] for sample in shown["samples"]] == [0, 2]
    for sample in shown["samples"]:
        assert 0 < sample["extra_up_bytes"] == sample["up_bytes"] - 2**22
        assert 0 < sample["extra_down_bytes"] == sample["down_bytes"] - 2**22
        assert {"hub", "maker", "taker"} < set(sample["growth_bytes"])
        assert sample["most_growth_bytes"] == max(sample["growth_bytes"].values())


def test_a_file_that_is_carried_is_told_in_a_table(capsys: Out) -> None:
    assert main(["bench", "artifact", "--size", "100KiB", "--no-cut"]) == 0
    head, row, _ = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["cuts", "seconds", "up", "down"]
    assert row.split()[0] == "0"


@pytest.mark.parametrize("size", ["", "0", "1TiB", "5GiB", "-1", "1.5GiB", "1 GiB"])
def test_a_size_that_makes_no_sense_is_refused(size: str, capsys: Out) -> None:
    assert main(["bench", "artifact", "--size", size]) == 2
    assert "give a number, with KiB, MiB or GiB, as in 64MiB" in capsys.readouterr().err


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    """A benchmark that goes on for a while, with device processes."""
    command = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())"]
    options = ["bench", "overhead", "--case", "websocket", "--peer", "none", "--stars", "20000", "--repeats", "100"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_ctrl_c_ends_the_command_with_its_processes_and_theirs(program: subprocess.Popen[str], home: Path) -> None:
    assert program.stderr is not None
    assert program.stderr.readline().startswith("round 1 of 100: websocket")
    family: set[psutil.Process] = set()
    while len(family) < 3:  # the process that measures, and two devices
        assert program.poll() is None
        family = set(psutil.Process(program.pid).children(recursive=True))
    program.send_signal(signal.SIGINT)
    assert program.wait(WAIT_S) == 130
    _, alive = psutil.wait_procs(list(family), timeout=WAIT_S)
    assert [process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert list(home.glob("constellation-bench-*")) == []


class TestLLM:
    def test_calls_are_measured_beside_those_of_the_bare_library(self, capsys: Out) -> None:
        options = ("--library", "openai", "--calls", "10", "--pieces", "5", "--repeats", "1")
        shown = told(capsys, "llm", *options)
        assert [(row["library"], row["mode"]) for row in shown["rows"]] == [("openai", "whole"), ("openai", "stream")]
        for row in shown["rows"]:
            assert row["bare_cpu_us"] > 0
            assert row["ratio"] == pytest.approx(row["ours_cpu_us"] / row["bare_cpu_us"], abs=0.002)
        assert set(shown["versions"]) == {"openai"}

    def test_the_table_has_a_row_for_each(self, capsys: Out) -> None:
        options = ("--library", "openai", "--calls", "1", "--pieces", "2", "--repeats", "1")
        assert main(["bench", "llm", *options]) == 0
        assert "openai, stream" in capsys.readouterr().out

    def test_an_unknown_library_is_refused(self, capsys: Out) -> None:
        assert main(["bench", "llm", "--library", "curl"]) == 2
        assert "none of openai, litellm" in capsys.readouterr().err
