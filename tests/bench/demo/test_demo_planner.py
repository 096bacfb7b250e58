"""What the demo's planner decides, with audits that are carried out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from constellation import StarState, ToolCall
from constellation_bench.demo.findings import StrainedModule
from constellation_bench.demo.plan import MERGE
from constellation_bench.demo.planner import MAX_LOOKS, WORST, plan_looks

ByHand = Callable[[int], Any]


def strained(name: str, strain: int) -> StrainedModule:
    return StrainedModule(name, f"{name}.py", strain)


def looks_of(audit: Any) -> list[str]:
    return [star for star in audit.graph if star.startswith("look-")]


def merged_looks(audit: Any) -> list[str]:
    work = audit.graph[MERGE].work
    assert isinstance(work, ToolCall)
    return [look["$ref"] for look in work.arguments["looks"]]


def test_the_worst_modules_of_a_scan_get_looks_that_the_merge_waits_for(by_hand: ByHand) -> None:
    audit = by_hand(3)
    audit.apply(plan_looks(audit.scan(1, strained("a", 90), strained("b", 70))))
    assert looks_of(audit) == ["look-a", "look-b"]
    assert merged_looks(audit) == ["look-a#", "look-b#"]
    assert {line.source for line in audit.graph.lines_into(MERGE)} >= {"look-a", "look-b"}
    assert [line.source for line in audit.graph.lines_into("look-a")] == ["scan-01"]


def test_a_look_can_begin_when_the_review_is_over_and_other_scans_still_run(by_hand: ByHand) -> None:
    audit = by_hand(2)
    audit.apply(plan_looks(audit.scan(1, strained("a", 90))))
    assert audit.graph.state("look-a") is StarState.PENDING
    audit.release("scan-01")
    assert audit.graph.state("look-a") is StarState.READY
    assert audit.graph.state("scan-02") is StarState.READY


def test_a_look_is_done_by_an_analyst_on_the_file_that_the_scan_named(by_hand: ByHand) -> None:
    audit = by_hand(1)
    audit.apply(plan_looks(audit.scan(1, strained("a", 90))))
    star = audit.graph["look-a"]
    assert star.requires == {"analyses": "yes"}
    assert star.work == ToolCall("audit_look", {"root": "/library", "file": "a.py"})


def test_a_module_that_is_not_among_the_worst_so_far_gets_none(by_hand: ByHand) -> None:
    audit = by_hand(2)
    audit.apply(plan_looks(audit.scan(1, *(strained(f"m{number}", 100 + number) for number in range(WORST)))))
    assert plan_looks(audit.scan(2, strained("mild", 50))) is None
    assert len(looks_of(audit)) == WORST


def test_a_worse_module_that_comes_later_gets_one(by_hand: ByHand) -> None:
    audit = by_hand(2)
    audit.apply(plan_looks(audit.scan(1, *(strained(f"m{number}", 100 + number) for number in range(WORST)))))
    audit.apply(plan_looks(audit.scan(2, strained("worse", 500), strained("mild", 50))))
    assert looks_of(audit)[-1] == "look-worse"
    assert len(merged_looks(audit)) == WORST + 1


def test_a_scan_that_found_nothing_changes_nothing(by_hand: ByHand) -> None:
    audit = by_hand(1)
    assert plan_looks(audit.scan(1)) is None


def test_a_scan_that_has_failed_changes_nothing(by_hand: ByHand) -> None:
    audit = by_hand(1)
    assert plan_looks(audit.end("scan-01", state=StarState.FAILED)) is None


def test_there_are_never_too_many_looks(by_hand: ByHand) -> None:
    audit = by_hand(8)
    for number in range(1, 9):
        batch = plan_looks(audit.scan(number, *(strained(f"m{number}_{at}", 100 * number + at) for at in range(4))))
        if batch is not None:
            audit.apply(batch)
    assert len(looks_of(audit)) == MAX_LOOKS


def test_a_review_that_is_repeated_adds_nothing_twice(by_hand: ByHand) -> None:
    audit = by_hand(1)
    review = audit.scan(1, strained("a", 90))
    audit.apply(plan_looks(review))
    assert plan_looks(review) is None


def test_two_scans_that_are_reviewed_at_once_both_get_their_looks_into_the_merge(by_hand: ByHand) -> None:
    audit = by_hand(2)
    reviews = [audit.scan(1, strained("a", 90)), audit.scan(2, strained("b", 80))]
    batches = [plan_looks(review) for review in reviews]  # each decided before the other was applied
    for batch in batches:
        audit.apply(batch)
    assert merged_looks(audit) == ["look-b#"]  # the later update has overwritten the earlier one
    audit.release("scan-01", "scan-02")
    for look in ("a", "b"):
        batch = plan_looks(audit.look(look))
        if batch is not None:
            audit.apply(batch)
    assert sorted(merged_looks(audit)) == ["look-a#", "look-b#"]
    audit.release("look-a", "look-b")
    assert audit.graph.state(MERGE) is StarState.READY


def test_the_merge_does_without_a_look_that_has_failed(by_hand: ByHand) -> None:
    audit = by_hand(1)
    audit.apply(plan_looks(audit.scan(1, strained("a", 90), strained("b", 80))))
    audit.release("scan-01")
    audit.apply(plan_looks(audit.look("a", state=StarState.FAILED)))
    audit.release("look-a")
    assert merged_looks(audit) == ["look-b#"]
    assert plan_looks(audit.look("b")) is None
    audit.release("look-b")
    assert audit.graph.state(MERGE) is StarState.READY


@pytest.mark.parametrize("star", ["merge", "import-graph"])
def test_what_comes_after_the_scans_is_not_planned_on(by_hand: ByHand, star: str) -> None:
    audit = by_hand(1)
    audit.scan(1)
    audit.release("scan-01")
    review = audit.end("merge")
    if star == "import-graph":
        audit.release("merge")
        review = audit.end("import-graph")
    assert plan_looks(review) is None
