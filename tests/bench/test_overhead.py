"""The overhead benchmark measures what it says: runs of the size asked for, in each setting, told as text and JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from constellation_bench.overhead.measure import GROUP, Sample, Setting, make_graph, measure
from constellation_bench.overhead.summary import summarise


@pytest.mark.parametrize("stars", [1, GROUP, GROUP + 1, 3 * GROUP])
def test_the_graph_has_as_many_stars_as_were_asked_for_and_runs_a_group_at_a_time(stars: int) -> None:
    graph = make_graph(stars)
    assert len(graph) == stars
    assert max(len(graph.lines_from(star)) for star in graph) <= GROUP


@pytest.mark.e2e
@pytest.mark.parametrize("setting", Setting)
def test_each_setting_runs_all_stars_where_it_says(setting: Setting) -> None:
    sample = measure(setting, 30)
    assert sample.stars == 30
    assert sample.wall_s > 0
    assert sample.own_cpu_s > 0
    assert setting is Setting.PROCESSES or sample.devices_cpu_s == 0


def test_figures_are_medians_per_star_and_the_spread_is_that_of_both_together() -> None:
    samples = [Sample(1000, 2.0, 0.1, 0.1), Sample(1000, 1.0, 0.2, 0.2), Sample(1000, 4.0, 0.3, 0.3)]
    summary = summarise(Setting.SQLITE, samples)
    assert (summary.setting, summary.own_us, summary.devices_us) == ("sqlite", 200.0, 200.0)
    assert (summary.spread, summary.stars_per_s) == (1.0, 500.0)


@pytest.mark.e2e
@pytest.mark.parametrize("options", [["--json"], []])
def test_the_command_prints_figures_for_programs_and_for_people(options: list[str]) -> None:
    command = [sys.executable, "-m", "constellation_bench.overhead", "--stars", "20", "--repeats", "1"]
    done = subprocess.run([*command, "--setting", "memory", *options], capture_output=True, text=True, check=True)
    if options:
        figures = json.loads(done.stdout)
        assert figures["stars"] == 20
        assert [setting["setting"] for setting in figures["settings"]] == ["memory"]
        assert figures["settings"][0]["own_us"] > 0
    else:
        assert "medians of 1 runs of 20 stars" in done.stdout
        assert "memory" in done.stdout
