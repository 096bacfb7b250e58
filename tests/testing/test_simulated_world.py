"""Whole runs in a world where everything fails, one per seed; `CONSTELLATION_SEEDS` asks for more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from constellation import RunOptions, TaskConstellation, TaskStar
from constellation.graph import StarState
from constellation.scheduling import DeviceLoad, RunMachine
from constellation.scheduling.durations import Durations
from constellation.testing import Behaviour, FakeDevice, Faults, InvariantBreached, SimulatedWorld
from constellation.testing.seeds import COMMANDS, EVENTS, simulate

SEEDS = int(os.environ.get("CONSTELLATION_SEEDS", "200"))
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_run_ends_and_no_invariant_breaks_whatever_fails(first: int) -> None:
    assert simulate(range(first, min(first + CHUNK, SEEDS))).breaches == {}


def test_a_few_hundred_worlds_see_every_command_every_event_and_every_behaviour() -> None:
    tally = simulate(range(1000, 1300))
    assert tally.commands.keys() == COMMANDS
    assert tally.events.keys() == EVENTS
    behaviours = {f"work {behaviour.value}" for behaviour in Behaviour if behaviour is not Behaviour.SUCCEEDS}
    others = {
        "approval ignored", "cancel", "cancel of a run", "connection cut", "connection half open", "device changes",
        "device dies", "rerun wanted",
        "device drains", "device forgets", "device silent", "edit", "frame overtaken", "frame repeated", "hold",
        "orchestrator dies at some moment", "orchestrator dies before a turn is carried out",
        "orchestrator dies before a turn is synced", "orchestrator dies before a turn is written",
        "orchestrator dies in the middle of carrying out", "partition", "partition one way", "pause", "proposal",
        "record torn",
        "review never ends", "run taken up late", "stale report", "star replaced", "two edits of one version",
    }  # fmt: skip
    assert tally.faults.keys() == behaviours | others


DIGESTS = """
from constellation.testing import SimulatedWorld
print(*[SimulatedWorld(seed).run().digest for seed in (3, 17, 40, 41)])
"""


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    printed = set()
    for hash_seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
        )
        printed.add(done.stdout)
    assert len(printed) == 1
    assert len(set(printed.pop().split())) == 4


# --- worlds of one's own ---


def chain(*stars: str, tool: str = "pure", **fields: Any) -> TaskConstellation:
    graph = TaskConstellation("chain")
    before: list[str] = []
    for star in stars:
        graph.star(star, tool, id=star, after=before, **fields)
        before = [star]
    return graph


def test_without_faults_a_graph_runs_as_it_is_written() -> None:
    device = FakeDevice("d", work=lambda tool, arguments: {"tool": tool, **arguments}, takes_s=2.0)
    graph = chain("a", "b", arguments={"x": 1})
    world = SimulatedWorld(0, graph=graph, devices=[device], faults=Faults.none()).run()
    assert world.state == "succeeded"
    assert {star: outcome.output for star, outcome in world.outcomes.items()} == {
        "a": {"tool": "pure", "x": 1},
        "b": {"tool": "pure", "x": 1},
    }
    assert 4.0 < world.trace.elapsed_s < 5.0
    assert world.trace.faults == {}


def ends(behaviour: Behaviour, *, tool: str = "pure", **fields: Any) -> tuple[str, str]:
    """How a star ends whose first attempt meets a behaviour, and why."""
    device = FakeDevice("d", script={"a": [behaviour]})
    options = RunOptions(accept_s=4.0, cancel_grace_s=0.2, timeout_margin_s=0.1)
    graph = chain("a", tool=tool, timeout_s=3.0, **fields)
    world = SimulatedWorld(5, graph=graph, devices=[device], options=options, faults=Faults.none()).run()
    outcome = world.outcomes["a"]  # type: ignore[index]
    return world.state, outcome.error.type if outcome.error is not None else ""


@pytest.mark.parametrize(
    ("behaviour", "repeatable", "once"),
    [
        (Behaviour.SUCCEEDS, ("succeeded", ""), ("succeeded", "")),
        (Behaviour.LIES, ("succeeded", ""), ("succeeded", "")),
        (Behaviour.HANGS, ("failed", "TimedOut"), ("failed", "TimedOut")),
        (Behaviour.ANSWERS_LATE, ("failed", "TimedOut"), ("failed", "TimedOut")),
        (Behaviour.CRASHES, ("succeeded", ""), ("failed", "AttemptOutcomeUnknown")),
        (Behaviour.FORGETS, ("succeeded", ""), ("failed", "AttemptOutcomeUnknown")),
        (Behaviour.IGNORES, ("succeeded", ""), ("failed", "AttemptOutcomeUnknown")),
        (Behaviour.REJECTS, ("failed", "NoDevice"), ("failed", "NoDevice")),
        (Behaviour.GOES_SILENT, ("succeeded", ""), ("succeeded", "")),
    ],
)
def test_what_becomes_of_a_star_follows_from_what_its_device_does(
    behaviour: Behaviour, repeatable: tuple[str, str], once: tuple[str, str]
) -> None:
    assert (ends(behaviour), ends(behaviour, tool="effect")) == (repeatable, once)


def test_a_device_that_says_nothing_about_an_attempt_gets_other_work_again_in_the_end() -> None:
    device = FakeDevice("d", slots=1, script={"a": [Behaviour.IGNORES]})
    graph = chain("a", tool="effect")
    graph.star("b", "pure", id="b", priority=-1)
    options = RunOptions(accept_s=4.0)
    world = SimulatedWorld(0, graph=graph, devices=[device], options=options, faults=Faults.none()).run()
    assert world.outcomes["b"].output is not None  # type: ignore[index]
    assert world.trace.elapsed_s < 12.0


class AlwaysTheLast:
    """A policy of one's own."""

    def choose(
        self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: Mapping[Any, int], durations: Durations
    ) -> DeviceLoad:
        return candidates[-1]


def test_a_placement_policy_can_be_put_through_the_same_faults() -> None:
    for seed in range(20):
        world = SimulatedWorld(seed, graph=chain("a", "b", "c", timeout_s=3.0), policy=AlwaysTheLast()).run()
        assert world.machine.graph.settled


def test_misfortune_can_be_chosen_as_well() -> None:
    device = FakeDevice("d", takes_s=3.0)
    world = SimulatedWorld(0, graph=chain("a", tool="effect"), devices=[device], faults=Faults.none())
    world.run_until(1.0)
    assert not world.over
    world.kill_orchestrator()
    world.cut("d")
    world.finish()
    assert world.state == "succeeded"
    assert sum(device.effects.values()) == 1
    assert world.trace.faults["orchestrator dies at some moment"] == 1


def test_an_async_planner_is_refused_because_there_is_no_event_loop() -> None:
    async def planner(review: Any) -> None:
        return None

    with pytest.raises(TypeError, match="give a planner that is a plain function"):
        SimulatedWorld(0, planner=planner)


def test_a_planner_that_raises_changes_nothing_but_is_noted() -> None:
    def planner(review: Any) -> None:
        raise LookupError("what now?")

    device = FakeDevice("d")
    world = SimulatedWorld(0, graph=chain("a", "b"), devices=[device], planner=planner, faults=Faults.none()).run()
    assert world.state == "succeeded"


def test_a_breach_tells_the_seed_the_time_the_problem_and_the_story_of_the_star(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeDevice, "succeed", _does_nothing_but_says_so)
    with pytest.raises(InvariantBreached) as caught:
        SimulatedWorld(7, graph=chain("a"), devices=[FakeDevice("d")], faults=Faults.none()).run()
    breach = caught.value
    assert (breach.invariant, breach.seed) == ("only_true_results_count", 7)
    assert 0 < breach.at_s < 5
    assert "counts as done by d, which has not done it" in breach.problem
    assert "d began with attempt run/a/1" in str(breach)
    assert "seed 7 at" in str(breach)


def _does_nothing_but_says_so(device: FakeDevice, attempt: str, rng: Any, **how: Any) -> Any:
    result = device.fail(attempt, "X", "")
    assert result is not None
    from dataclasses import replace

    return replace(result, status="succeeded", error=None)


def test_a_run_that_does_not_end_is_a_breach_that_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunMachine, "_see_to_the_end", lambda machine: None)
    with pytest.raises(InvariantBreached, match="these go on for ever"):
        SimulatedWorld(0, graph=chain("a"), devices=[FakeDevice("d")], faults=Faults.none()).run()


def test_the_state_of_the_run_can_be_read_in_the_end() -> None:
    world = SimulatedWorld(0, graph=chain("a"), devices=[FakeDevice("d")], faults=Faults.none())
    with pytest.raises(KeyError):
        _ = world.state
    assert world.run().machine.graph.state("a") is StarState.SUCCEEDED
