"""Going through records again: where they lead, and which is the first that can't be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from constellation.scheduling import retracing, run_state
from constellation.scheduling.attempts import Tries
from constellation.scheduling.retracing import retrace
from constellation.scheduling.story import story

from .golden_scenarios import GOLDEN

BODIES = (GOLDEN / "attempts.jsonl").read_bytes().splitlines()


def first(kind: str) -> int:
    """The number of the first record of a kind."""
    return next(number for number, body in enumerate(BODIES, 1) if json.loads(body)["event"]["kind"] == kind)


def _torn(records: list[Any]) -> int:
    records[6] = "{"
    return 7


def _of_another_version(records: list[Any]) -> int:
    records[6]["v"] = 99
    return 7


def _of_another_run(records: list[Any]) -> int:
    records[6]["event"]["run"] = "another"
    return 7


def _a_second_start_of_another_run(records: list[Any]) -> int:
    records[6] = {**records[0], "event": {**records[0]["event"], "run": "another"}}
    return 7


def _twice(records: list[Any]) -> int:
    number = first("attempt_failed")
    records[number] = records[number - 1]
    return number + 1


def _an_edit_of_nothing(records: list[Any]) -> int:
    batch = {"operations": [{"op": "remove_star", "star": "gone"}]}
    records[6]["event"] = {"at": 1.0, "run": "r", "kind": "graph_edited", "batch": batch}
    return 7


def _no_start(records: list[Any]) -> int:
    records[0] = records[1]
    return 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_torn, "it can't be read: this is no journal record"),
        (_of_another_version, "version 99"),
        (_of_another_run, "it is of another run, 'another'"),
        (_a_second_start_of_another_run, "it is of another run, 'another'"),
        (_twice, "it changes nothing here, but did when it was written"),
        (_an_edit_of_nothing, "EditRejected: operation 0 (remove star 'gone'): there is no star 'gone'"),
        (_no_start, "UnknownRun: there is no run 'r' here"),
    ],
)
def test_the_first_record_that_can_not_be_right_is_found(damage: Callable[[list[Any]], int], words: str) -> None:
    records = [json.loads(body) for body in BODIES]
    number = damage(records)
    retraced = retrace([(record if isinstance(record, str) else json.dumps(record)).encode() for record in records])
    assert len(retraced.entries) == number - 1
    assert words in str(retraced.problem)
    assert (retraced.machine is None) is (number == 1)


def test_no_records_lead_nowhere() -> None:
    assert retrace([]) == retracing.Retraced(None, [], None)


@pytest.mark.parametrize("checked", [2_000_000, 40])
def test_the_record_after_which_an_invariant_is_broken_is_found(checked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: a star that ends is not forgotten. A large run is searched in steps, and the same is found."""
    settle = run_state.RunState._settle

    def forgetful(self: Any, star: Any, *arguments: Any, **fields: Any) -> None:
        settle(self, star, *arguments, **fields)
        self.tries[star] = Tries(self.graph[star], {})

    monkeypatch.setattr(run_state.RunState, "_settle", forgetful)
    monkeypatch.setattr(retracing, "CHECKED_STARS", checked)
    retraced = retrace(BODIES)
    assert len(retraced.entries) == len(_entries_before_the_first_end())
    assert "after it an invariant is broken" in str(retraced.problem)
    assert "its tries are remembered" in str(retraced.problem)


def _entries_before_the_first_end() -> list[bytes]:
    for number in range(1, len(BODIES)):
        machine = retracing.Scheduler()
        for body in BODIES[:number]:
            machine.retrace(retracing.decode_entry(body))
        graph = next(iter(machine.runs.values())).graph
        if any(graph.outcome(star) for star in graph):
            return BODIES[: number - 1]
    raise AssertionError("no star ends in this journal")


def test_a_story_may_be_told_of_what_was_right() -> None:
    retraced = retrace([*BODIES[:6], b"{"])
    assert any("began with attempt" in line or "was given to" in line for line in story(retraced.entries, "flaky"))
