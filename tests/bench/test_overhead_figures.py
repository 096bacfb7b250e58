"""Figures are medians per star; those of edits are medians of the same edit; ratios are to the case that compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from constellation_bench.overhead.edits import batch, middle
from constellation_bench.overhead.edits.figures import figures_of_batch, figures_of_middle
from constellation_bench.overhead.edits.kinds import (
    ACROSS,
    ADVERSARIAL,
    ALONG,
    REFUSED_LINES,
    REMOVE,
    SINGLE,
)
from constellation_bench.overhead.figures import Figures, figures_of_runs, percentile, spread
from constellation_bench.overhead.subjects import PEERS, CaseName
from constellation_bench.overhead.survey import Survey
from constellation_bench.overhead.table import print_survey


def run_sample(
    own_s: float, others_s: float, wall_s: float = 1.0, *, server_s: float | None = None, **more: str
) -> dict[str, object]:
    cpu = {"own_cpu_s": own_s, "others_cpu_s": others_s, "server_cpu_s": server_s}
    return {"stars": 1000, "wall_s": wall_s, **cpu, **more}


def figures(name: str, cpu_us: float) -> Figures:
    return Figures(name, 100, 1, cpu_us, cpu_us, cpu_us, None, cpu_us, 0.0, {})


def test_all_processes_count_together_and_the_spread_is_that_of_the_sum() -> None:
    found = figures_of_runs("x", [run_sample(0.1, 0.1, 2.0), run_sample(0.2, 0.2), run_sample(0.3, 0.3, 4.0)])
    assert found.as_json() == {
        "name": "x",
        "stars": 1000,
        "repeats": 3,
        "cpu_us_per_star": 400.0,
        "client_cpu_us_per_star": 400.0,
        "own_cpu_us_per_star": 200.0,
        "server_cpu_us_per_star": None,
        "wall_us_per_star": 2000.0,
        "spread": 1.0,
    }


def test_what_the_database_takes_is_part_of_the_sum_and_told_apart() -> None:
    samples = [run_sample(0.1, 0.0, server_s=taken, durability="fsync=on") for taken in (0.05, 0.02, 0.03)]
    found = figures_of_runs("x", samples).as_json()
    assert (found["cpu_us_per_star"], found["client_cpu_us_per_star"]) == (130.0, 100.0)
    assert (found["server_cpu_us_per_star"], found["durability"]) == (30.0, "fsync=on")


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_spread_of_nothing_is_nothing() -> None:
    assert spread([0.0, 0.0]) == 0.0


def edit_sample(**kinds: list[float]) -> dict[str, object]:
    return {"stars": 400, "wall_s": 0.001, "cpu_us": {name.replace("_", " "): costs for name, costs in kinds.items()}}


def test_an_edit_costs_the_median_of_its_repeats_and_only_the_worst_is_taken_over_adversarial_ones() -> None:
    samples = [
        edit_sample(add_along=[1.0, 90.0], add_across=[5.0], remove=[3.0], adversarial=[70.0]),
        edit_sample(add_along=[1.0, 4.0], add_across=[5.0], remove=[3.0], adversarial=[60.0]),
        edit_sample(add_along=[9.0, 4.0], add_across=[5.0], remove=[3.0], adversarial=[50.0]),
    ]
    found = figures_of_middle("edit_middle", samples)
    assert found.cpu_us_per_star == found.more["median_us"] == 3.5
    assert (found.more["p99_us"], found.more["worst_us"]) == (5.0, 60.0)
    assert found.wall_us_per_star == 200.0
    assert found.more["kinds"][0] == {"kind": ALONG, "edits": 2, "median_us": 2.5, "p99_us": 4.0, "worst_us": 4.0}


def test_a_batch_is_compared_with_one_edit() -> None:
    sample = {"stars": 400, "wall_s": 1.0, "cpu_us": {SINGLE: [2.0, 4.0], REFUSED_LINES: [30.0], REMOVE: [1.0]}}
    found = figures_of_batch("edit_batch", [sample])
    assert (found.cpu_us_per_star, found.more["one_edit_us"], found.more["to_one_edit"]) == (30.0, 3.0, 10.0)


def test_thousands_of_edits_are_timed_of_every_kind(tmp_path: Path) -> None:
    sample = middle.measure(400, tmp_path)
    counts = {kind: len(costs) for kind, costs in sample["cpu_us"].items()}
    assert counts[ALONG] == counts[ACROSS] == middle.RANDOM_PAIRS
    assert counts[ADVERSARIAL] > 100
    assert counts[REMOVE] == counts[ALONG] + counts[ACROSS] + counts[ADVERSARIAL]
    assert all(cost > 0 for costs in sample["cpu_us"].values() for cost in costs)


def test_batches_that_are_refused_leave_the_graph_to_the_next_and_small_graphs_are_made_larger(tmp_path: Path) -> None:
    sample = batch.measure(1, tmp_path)
    assert sample["stars"] == 400
    assert {len(costs) for costs in sample["cpu_us"].values()} == {batch.ROUNDS}
    assert len(sample["cpu_us"]) == 10


def test_a_peer_is_compared_with_the_case_that_promises_as_much() -> None:
    survey = Survey({}, cases=[figures("in_process", 50.0), figures("journaled", 100.0)])
    assert survey.ratio(PEERS["taskiq"], figures("taskiq", 200.0)) == 4.0
    assert survey.ratio(PEERS["dbos"], figures("dbos", 200.0)) == 2.0
    assert survey.ratio(PEERS["ray"], figures("ray", 200.0)) is None


def test_what_could_not_be_compared_is_in_the_table_all_the_same() -> None:
    from rich.console import Console

    machine = {"python": "3", "cpus": 2, "machine": "x", "file_system": "ext4"}
    survey = Survey(machine, peers=[(PEERS["in_degree"], figures("in_degree", 1.0))], failed={"ray": "it died"})
    console = Console(width=120, record=True, quiet=True)
    with console.capture() as caught:
        console.quiet = False
        print_survey(survey, console)
    shown = caught.get()
    assert "in_degree" in shown
    assert "–" in shown
    assert "failed ray: it died" in shown


def test_every_peer_has_a_module_of_its_name_and_a_case_that_runs() -> None:
    runs = {CaseName.IN_PROCESS, CaseName.JOURNALED, CaseName.WEBSOCKET}
    assert {peer.against for peer in PEERS.values()} == runs
    folder = Path(middle.__file__).parents[1] / "peers"
    assert all((folder / f"{name}.py").is_file() for name in PEERS)
