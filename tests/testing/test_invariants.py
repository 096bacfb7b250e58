"""Each invariant says nothing while it holds, and what is wrong when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from constellation import TaskConstellation
from constellation.graph import StarId, TaskStarLine
from constellation.graph.documents import dump
from constellation.scheduling import AttemptId, DeviceId, JournalEntry, RunId, RunMachine, Scheduler
from constellation.scheduling import events as ev
from constellation.testing import FakeDevice
from constellation.testing import invariants as inv
from constellation.testing.device import LIE
from constellation.testing.history import History
from constellation.testing.snapshot import state_of
from constellation_protocol.messages import Accept

R, A, D = RunId("r"), StarId("a"), DeviceId("d")
FIRST, SECOND = AttemptId("r/a/1"), AttemptId("r/a/2")


def assigned(attempt: AttemptId, *, idempotent: bool = False, epoch: int = 1) -> ev.StarAssigned:
    return ev.StarAssigned(1.0, R, A, attempt, D, epoch, idempotent)


def succeeded(attempt: AttemptId, *, output: Any = 1, epoch: int = 1) -> ev.AttemptSucceeded:
    return ev.AttemptSucceeded(2.0, R, A, attempt, D, epoch, output)


def started() -> ev.RunStarted:
    graph = TaskConstellation("one")
    graph.star("a", "t", id="a")
    return ev.RunStarted(0.0, R, dump(graph))


def machine() -> RunMachine:
    made = RunMachine(started())
    made.apply(started(), [])
    return made


def test_a_graph_with_a_cycle_is_seen_through_whatever_its_own_order_says(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = TaskConstellation("ring")
    assert inv.graphs_are_acyclic(graph) is None
    ring = [TaskStarLine(A, StarId("b")), TaskStarLine(StarId("b"), A)]
    monkeypatch.setattr(TaskConstellation, "lines", property(lambda graph: ring))
    assert "there is a cycle" in (inv.graphs_are_acyclic(graph) or "")


def test_counters_that_are_off_are_seen() -> None:
    scheduler = Scheduler()
    scheduler.handle(started())
    assert inv.counters_match_a_recount(scheduler) is None
    scheduler.runs[R].graph._held += 1
    assert "held" in (inv.counters_match_a_recount(scheduler) or "")


def test_a_second_lease_and_a_second_use_of_an_id_are_seen() -> None:
    history = History([assigned(FIRST)])
    assert "while r/a/1 goes on" in (inv.a_star_has_one_lease_at_most(history, assigned(SECOND)) or "")
    history.add(succeeded(FIRST))
    assert inv.a_star_has_one_lease_at_most(history, assigned(SECOND)) is None
    assert "a second time" in (inv.a_star_has_one_lease_at_most(history, assigned(FIRST)) or "")


@pytest.mark.parametrize("stale", [succeeded(SECOND), succeeded(FIRST, epoch=2)])
def test_a_report_that_counts_though_it_is_not_current_is_seen(stale: ev.AttemptSucceeded) -> None:
    history = History([assigned(FIRST)])
    assert inv.only_current_reports_count(history, succeeded(FIRST)) is None
    assert "is not current" in (inv.only_current_reports_count(history, stale) or "")


def test_a_result_that_counts_a_second_time_is_seen() -> None:
    history = History([assigned(FIRST), succeeded(FIRST)])
    assert "is not current" in (inv.only_current_reports_count(history, succeeded(FIRST)) or "")


def test_a_result_of_work_that_was_not_done_is_seen() -> None:
    device = FakeDevice("d")
    assert "has not done it" in (inv.only_true_results_count({"d": device}, succeeded(FIRST)) or "")
    device.effects[FIRST] += 1
    assert inv.only_true_results_count({"d": device}, succeeded(FIRST)) is None
    assert "has not done it" in (inv.only_true_results_count({"d": device}, succeeded(FIRST, output=LIE)) or "")


def test_a_stale_report_that_leaves_a_trace_is_seen() -> None:
    report, state, other = succeeded(FIRST), state_of(machine()), ("another",)
    assert inv.stale_reports_are_inert(report, [], state, state, counted=True) is None
    for entries, after, counted, problem in (
        ([], state, False, "was not counted"),
        ([JournalEntry(report)], state, True, "was stored"),
        ([], other, True, "has changed the run"),
    ):
        said = inv.stale_reports_are_inert(report, entries, state, after, counted=counted)
        assert problem in (said or "")


def test_a_refusal_that_leaves_a_trace_is_seen() -> None:
    assert inv.refusals_change_nothing(("a", (1,)), ("a", (1,))) is None
    assert "1 became 2" in (inv.refusals_change_nothing(("a", (1,)), ("a", (2,))) or "")


def test_a_star_that_ends_twice_is_seen() -> None:
    assert inv.stars_settle_once(set(), R, A) is None
    assert "a second time" in (inv.stars_settle_once({(R, A)}, R, A) or "")


def test_a_replay_that_goes_another_way_is_seen() -> None:
    entries = [JournalEntry(started())]
    assert inv.replays_give_every_state(R, entries, {1: state_of(machine())}) is None
    other = machine()
    other.graph.version = 7
    assert "after record 1" in (inv.replays_give_every_state(R, entries, {1: state_of(other)}) or "")
    lost = [*entries, JournalEntry(succeeded(FIRST))]
    assert "means nothing on a replay" in (inv.replays_give_every_state(R, lost, {}) or "")


def test_what_is_sent_or_forgotten_before_it_is_stored_is_seen() -> None:
    nothing, running = History(), History([assigned(FIRST)])
    done = History([assigned(FIRST), succeeded(FIRST)])
    assert "before it was stored" in (inv.sent_is_stored(nothing, FIRST) or "")
    assert inv.sent_is_stored(running, FIRST) is None
    assert "not stored" in (inv.forgotten_is_stored(running, FIRST) or "")
    assert inv.forgotten_is_stored(done, FIRST) is None


def test_a_message_that_comes_twice_or_out_of_nowhere_is_seen() -> None:
    one, other = Accept(attempt="r/a/1", epoch=1), Accept(attempt="r/a/2", epoch=1)
    assert inv.messages_arrive_once([one, other], one) is None
    assert "'accept' was next" in (inv.messages_arrive_once([one, other], other) or "")
    assert "nothing more was sent" in (inv.messages_arrive_once([], one) or "")


def test_what_is_done_twice_is_seen_unless_it_may_be_repeated() -> None:
    device = FakeDevice("d")
    device.effects.update([FIRST, SECOND])
    for first, problem in ((True, None), (False, "may not be repeated")):
        history = History([assigned(FIRST, idempotent=first), ev.AttemptLost(2.0, R, A, FIRST, D, 1, "")])
        history.add(assigned(SECOND))
        said = inv.nothing_is_repeated_silently(history, [device])
        assert (said is None) is (problem is None)
        assert (problem or "") in (said or "")
    device.effects[FIRST] += 1
    assert "done 2 times" in (inv.nothing_is_repeated_silently(history, [device]) or "")


def test_a_decision_to_run_work_again_makes_it_repeatable() -> None:
    device = FakeDevice("d")
    device.effects.update([FIRST, SECOND])
    history = History([assigned(FIRST), ev.RunRecovered(2.0, R, rerun=True)])
    history.add(ev.AttemptLost(3.0, R, A, FIRST, D, 1, ""))
    history.add(assigned(SECOND))
    assert inv.nothing_is_repeated_silently(history, [device]) is None


def test_what_goes_on_and_what_is_still_owed_are_named() -> None:
    assert "'a': 'waits for a device'" in (inv.everything_ends([machine()]) or "")
    assert inv.everything_ends([]) is None
    device = FakeDevice("d")
    assert inv.results_are_acknowledged([device]) is None
    device.kept["r/a/1"] = None  # type: ignore[assignment]
    assert "{'d': ['r/a/1']}" in (inv.results_are_acknowledged([device]) or "")


def test_leases_end_with_their_deadline_and_when_nobody_confirms_them() -> None:
    for timer, lost in (("cancel:r/a/1", True), ("reconcile", True), ("cancel:r/z/1", False), ("deadline", False)):
        history = History([assigned(FIRST), ev.RunRecovered(2.0, R), ev.TimerFired(3.0, R, timer)])
        assert history.is_open(FIRST) is not lost
    adopted = [assigned(FIRST), ev.RunRecovered(2.0, R), ev.AttemptAdopted(2.5, R, A, FIRST, D, 2)]
    history = History([*adopted, ev.TimerFired(3.0, R, "reconcile")])
    assert history.is_open(FIRST)
    assert history.is_current(succeeded(FIRST, epoch=2))
