"""What a chaos run is made of follows from its seed; and what devices log of their effects is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from constellation.graph import Trigger
from constellation_bench.chaos.effects import Effect, append_effect, read_effects
from constellation_bench.chaos.plan import LAYER, Kind, make_graph, plan_disturbances, plan_stars

COUNTS = {Kind.KILL: 40, Kind.CUT: 30, Kind.FREEZE: 3}


def test_stars_and_disturbances_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert plan_stars(200, seed=1, work_s=0.1) == plan_stars(200, seed=1, work_s=0.1)
    assert plan_stars(200, seed=1, work_s=0.1) != plan_stars(200, seed=2, work_s=0.1)
    assert plan_disturbances(500, COUNTS, seed=1) == plan_disturbances(500, COUNTS, seed=1)
    assert plan_disturbances(500, COUNTS, seed=1) != plan_disturbances(500, COUNTS, seed=2)


def test_some_stars_are_idempotent_and_some_are_not_and_all_but_the_first_layer_wait_for_others() -> None:
    stars = plan_stars(400, seed=1, work_s=0.1)
    assert {(star.idempotent, star.tool) for star in stars} == {
        (idempotent, tool) for idempotent in (True, False) for tool in ("effect_in_process", "effect_on_loop")
    }
    assert [len(star.upstream) for star in stars] == [0] * LAYER + [3] * (400 - LAYER)
    assert all(0 <= star.work_s <= 0.2 for star in stars)


def test_the_graph_hands_on_what_idempotent_stars_return_and_waits_for_the_end_of_the_others() -> None:
    stars = plan_stars(200, seed=1, work_s=0.1)
    idempotent = {star.id for star in stars if star.idempotent}
    graph = make_graph(stars)
    assert len(graph) == 200
    for line in graph.lines:
        assert line.trigger is (Trigger.SUCCESS if line.source in idempotent else Trigger.COMPLETION)
    assert {(line.source, line.target) for line in graph.lines} == {
        (source, star.id) for star in stars for source in star.upstream
    }


@pytest.mark.parametrize("stars", [1, 60, 5000])
def test_all_disturbances_are_due_in_order_while_there_are_stars_left(stars: int) -> None:
    planned = plan_disturbances(stars, COUNTS, seed=3)
    assert {kind: sum(each.kind is kind for each in planned) for kind in Kind} == COUNTS
    dues = [each.due for each in planned]
    assert dues == sorted(dues)
    assert dues[0] >= 1
    assert dues[-1] <= max(1, 0.95 * stars)
    assert all(0 <= each.target < 1 and 0 <= each.manner < 1 for each in planned)


def test_effects_are_read_back_as_they_were_appended_from_all_devices_that_had_any(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("d1", "d2", "d3")]
    for folder in folders:
        folder.mkdir()
    effects = [Effect("a", "r/a/1", "d1"), Effect("b", "r/b/1", "d1", ("r/a/1",)), Effect("c", "r/c/1", "d3")]
    for effect in effects:
        append_effect(tmp_path / effect.device, effect)
    assert list(read_effects(folders)) == effects
