"""Nested constellations that are tried again, and those inside others."""

from __future__ import annotations

import pytest

from constellation.graph import AddStar, Nested, RetryPolicy, StarError, StarId, StarState, TaskConstellation
from constellation.graph.documents import dump
from constellation.scheduling import NotWaiting, RunId, RunOptions, Scheduler
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.events import nested_id
from constellation.scheduling.inputs import Tick
from constellation.scheduling.nesting import find_inside, seen_from_outside

from .harness import Harness, R, star

FIRST, SECOND = RunId("r:n"), nested_id(R, ev.StarId("n"), 2)
AGAIN = RetryPolicy(2, 1.0, jitter=0.0)


def inner(*stars: str, tool: str = "t") -> TaskConstellation:
    graph = TaskConstellation("inner")
    before: list[str] = []
    for name in stars:
        graph.star(name, tool, after=before)
        before = [name]
    return graph


def begin(h: Harness, *stars: str, tool: str = "t", **fields: object) -> None:
    h.join(slots=4)
    h.start(star("n", work=Nested(dump(inner(*stars, tool=tool))), retry=AGAIN, **fields))


def test_a_nested_run_that_failed_is_run_anew_as_a_whole_after_the_delay(h: Harness) -> None:
    begin(h, "x", "y")
    h.succeed("x", run=FIRST)
    h.fail("y", run=FIRST)
    (retrying,) = h.told(cmd.StarRetrying)
    assert (retrying.error.type, retrying.delay_s, retrying.attempt) == ("NestedFailed", 1.0, None)
    assert h.state("n") is StarState.READY
    h.wait(1)
    assert h.state("n") is StarState.RUNNING
    h.succeed("x", run=SECOND)
    h.succeed("y", 7, run=SECOND)
    assert (h.outcome("n").output, h.outcome("n").attempts) == ({"y": 7}, 2)
    assert h.scheduler.runs[FIRST].state == "failed"
    assert h.machine.state == "succeeded"


def test_a_nested_run_that_fails_every_time_fails_its_star(h: Harness) -> None:
    begin(h, "x")
    for run in (FIRST, SECOND):
        h.fail("x", run=run)
        h.wait(1)
    assert (h.error("n").type, h.outcome("n").attempts) == ("NestedFailed", 2)


def test_only_errors_that_its_policy_names_make_a_nested_run_begin_anew(h: Harness) -> None:
    h.join()
    h.start(star("n", work=Nested(dump(inner("x"))), retry=RetryPolicy(3, 1.0, on=("TimedOut",))))
    h.fail("x", run=FIRST)
    assert h.state("n") is StarState.FAILED


def test_the_late_end_of_an_earlier_try_of_a_nested_run_does_not_count_for_a_newer_one(h: Harness) -> None:
    begin(h, "x")
    h.fail("x", run=FIRST)
    h.wait(1)
    h.handle(ev.NestedEnded(h.now, R, ev.StarId("n"), {"x": "old"}, child=FIRST))
    assert h.state("n") is StarState.RUNNING
    h.handle(ev.NestedEnded(h.now, R, ev.StarId("n"), error=StarError("NestedFailed", "old"), child=FIRST))
    assert (h.state("n"), h.machine.stale) == (StarState.RUNNING, 2)
    h.succeed("x", "new", run=SECOND)
    assert h.outcome("n").output == {"x": "new"}


def test_a_nested_run_that_took_too_long_has_ended_before_the_next_one_begins(h: Harness) -> None:
    begin(h, "x", timeout_s=5.0)
    h.begun("x", run=FIRST)
    h.wait(5)
    assert (h.state("n"), h.scheduler.runs[FIRST].closing) == (StarState.RUNNING, True)
    assert SECOND not in h.scheduler.runs
    h.report(ev.AttemptCancelled, "x", run=FIRST)
    assert h.told(cmd.StarRetrying)[0].error.type == "TimedOut"
    h.wait(1)
    h.succeed("x", 1, run=SECOND)
    assert h.outcome("n").output == {"x": 1}


def test_the_second_try_of_a_nested_run_has_its_whole_time(h: Harness) -> None:
    begin(h, "x", timeout_s=5.0)
    h.wait(4)
    h.fail("x", run=FIRST)
    h.wait(5)
    assert h.state("n") is StarState.RUNNING
    h.wait(1)
    assert h.error("n").type == "TimedOut"


@pytest.mark.parametrize(("idempotent", "state"), [(None, StarState.FAILED), (True, StarState.READY)])
def test_a_nested_run_with_work_of_unknown_outcome_is_run_anew_only_when_it_may_be(
    h: Harness, idempotent: bool | None, state: StarState
) -> None:
    begin(h, "x", tool="once", idempotent=idempotent)
    h.begun("x", run=FIRST)
    h.leave()
    h.join()
    assert h.state("n") is state
    if state is StarState.FAILED:
        assert h.error("n").details["outcome_unknown"] == ["x"]


def test_a_nested_star_that_waits_for_its_next_try_can_be_cancelled(h: Harness) -> None:
    begin(h, "x")
    h.fail("x", run=FIRST)
    h.ask(ev.CancelRequested, ev.StarId("n"))
    h.wait(2)
    assert (h.state("n"), h.machine.state, SECOND in h.scheduler.runs) == (StarState.CANCELLED, "succeeded", False)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_after_a_restart_the_second_try_goes_on_and_the_first_is_not_begun_again(h: Harness, lost: int) -> None:
    begin(h, "x")
    h.fail("x", run=FIRST)
    h.wait(1)
    attempt = h.attempt("x", run=SECOND).id
    h.restart(lost=lost)
    h.join(known=(attempt,))
    assert h.state("n") is StarState.RUNNING
    h.succeed("x", 3, run=SECOND)
    assert h.outcome("n").output == {"x": 3}


# --- two deep ---

MIDDLE, DEEPEST = RunId("r:n"), RunId("r:n:m")


def two_deep(h: Harness, **fields: object) -> None:
    middle = TaskConstellation("middle")
    middle.star("m", Nested(dump(inner_with_input())), arguments={"n": {"$input": "/size"}})
    h.join()
    h.start(star("n", work=Nested(dump(middle), {"size": 5}), **fields))


def inner_with_input() -> TaskConstellation:
    graph = TaskConstellation("deepest")
    graph.star("x", "t", arguments={"n": {"$input": "/n"}})
    return graph


def test_inputs_go_two_levels_down_and_outputs_come_up(h: Harness) -> None:
    two_deep(h)
    assert h.told(cmd.Dispatch)[0].arguments == {"n": 5}
    h.succeed("x", {"k": 1}, run=DEEPEST)
    assert h.outcome("n").output == {"m": {"x": {"k": 1}}}


def test_a_failure_comes_up_from_two_levels_down_with_its_cause(h: Harness) -> None:
    two_deep(h)
    h.fail("x", run=DEEPEST)
    assert h.error("n").message == "the nested run has failed: m: the nested run has failed: x: it broke"
    assert h.scheduler.runs[MIDDLE].state == h.scheduler.runs[DEEPEST].state == "failed"


def test_an_unknown_outcome_is_known_two_levels_up(h: Harness) -> None:
    middle = TaskConstellation("middle")
    middle.star("m", Nested(dump(inner("x", tool="once"))))
    h.join()
    h.start(star("n", work=Nested(dump(middle)), retry=AGAIN))
    h.begun("x", run=DEEPEST)
    h.leave()
    assert (h.state("n"), h.error("n").details["outcome_unknown"]) == (StarState.FAILED, ["m"])


@pytest.mark.parametrize("how", ["star", "run"])
def test_a_cancel_reaches_two_levels_down(h: Harness, how: str) -> None:
    two_deep(h)
    h.begun("x", run=DEEPEST)
    h.ask(ev.CancelRequested, ev.StarId("n") if how == "star" else None)
    assert [command.star for command in h.told(cmd.CancelAttempt) if command.run == DEEPEST] == ["x"]
    h.report(ev.AttemptCancelled, "x", run=DEEPEST)
    assert h.state("n") is StarState.CANCELLED
    assert h.scheduler.runs[MIDDLE].state == h.scheduler.runs[DEEPEST].state == "cancelled"


def test_a_limit_of_time_and_a_deadline_reach_two_levels_down(h: Harness) -> None:
    two_deep(h, timeout_s=3.0)
    h.begun("x", run=DEEPEST)
    h.wait(3)
    assert h.error("n").type == "TimedOut"
    assert [command.star for command in h.told(cmd.CancelAttempt)] == ["x"]
    h.wait(10)
    assert h.scheduler.runs[DEEPEST].state == "cancelled"


def test_the_deadline_of_a_run_ends_what_is_nested_in_it(h: Harness) -> None:
    h.join()
    h.start(star("n", work=Nested(dump(inner("x")))), deadline_s=4.0)
    h.begun("x", run=FIRST)
    h.wait(4)
    assert (h.machine.state, h.state("n"), h.scheduler.runs[FIRST].closing) == ("failed", StarState.CANCELLED, True)
    h.wait(10)
    assert h.scheduler.runs[FIRST].state == "cancelled"


def test_a_pause_reaches_two_levels_down(h: Harness) -> None:
    two_deep(h)
    h.ask(ev.RunPaused)
    assert {run: machine.state for run, machine in h.scheduler.runs.items()} == dict.fromkeys(
        (R, MIDDLE, DEEPEST), "paused"
    )
    h.ask(ev.RunUnpaused)
    assert h.scheduler.runs[DEEPEST].state == "running"


def test_a_nested_run_is_carried_out_as_the_one_around_it_but_for_its_deadline_and_reviews(h: Harness) -> None:
    options = {"cancel_grace_s": 3.0, "timeout_margin_s": 1.5, "max_losses": 7, "accept_s": 4.0}
    h.join()
    h.start(star("n", work=Nested(dump(inner("x")))), deadline_s=50.0, review=True, **options)
    assert h.scheduler.runs[FIRST].options == RunOptions(**options)


# --- seen from outside ---


def test_a_star_inside_has_a_name_in_each_run_around_it_by_which_it_is_found(h: Harness) -> None:
    two_deep(h)
    runs = h.scheduler.runs
    assert list(seen_from_outside(runs, runs[DEEPEST], StarId("x"))) == [(MIDDLE, "m/x"), (R, "n/m/x")]
    assert find_inside(runs, h.machine, "n/m/x") == (DEEPEST, "x")
    assert find_inside(runs, runs[MIDDLE], "m/x") == (DEEPEST, "x")
    assert find_inside(runs, h.machine, "n") == (R, "n")


@pytest.mark.parametrize("path", ["n/nobody/x", "nobody/m/x", "n/m/x/y", "beside/x"])
def test_a_name_that_leads_into_nothing_that_goes_on_finds_nothing(h: Harness, path: str) -> None:
    two_deep(h)
    h.edit(AddStar(star("beside")))
    h.begun("beside")
    with pytest.raises(NotWaiting, match=path):
        find_inside(h.scheduler.runs, h.machine, path)


def test_a_nested_run_that_is_not_held_here_has_no_stars_to_be_found(h: Harness) -> None:
    two_deep(h)
    del h.scheduler.runs[DEEPEST]
    with pytest.raises(NotWaiting):
        find_inside(h.scheduler.runs, h.machine, "n/m/x")


def test_tries_that_fail_at_once_follow_each_other_and_do_not_begin_inside_each_other() -> None:
    inner = TaskConstellation("inner")
    inner.star("x", "t")
    document = dump(inner)
    document["records"] = {"x": {"state": "failed", "outcome": {"error": {"type": "E", "message": "m"}}}}
    graph = TaskConstellation("outer")
    graph.star("s", Nested(document), retry=RetryPolicy(max_attempts=400, backoff_s=0))
    scheduler = Scheduler()
    scheduler.handle(ev.RunStarted(1.0, RunId("r"), dump(graph), RunOptions()))
    machine = scheduler.runs[RunId("r")]
    while not machine.ended:
        due = scheduler.next_due_at()
        assert due is not None
        scheduler.handle(Tick(due))
    outcome = machine.graph.outcome("s")
    assert outcome is not None
    assert (machine.state, outcome.attempts) == ("failed", 400)


def test_a_chain_of_nested_runs_that_end_as_soon_as_they_begin_may_be_of_any_length() -> None:
    inner = TaskConstellation("inner")
    inner.star("x", "t")
    document = dump(inner)
    document["records"] = {"x": {"state": "succeeded", "outcome": {"output": 1}}}
    graph = TaskConstellation("outer")
    length = 500
    for number in range(length):
        graph.star(f"s{number}", Nested(document), after=[f"s{number - 1}"] if number else [])
    scheduler = Scheduler()
    step = scheduler.handle(ev.RunStarted(1.0, RunId("r"), dump(graph), RunOptions()))
    ended = [command.run for command in step.commands if isinstance(command, cmd.RunSettled)]
    assert ended == [*(f"r:s{number}" for number in range(length)), "r"]
    assert scheduler.runs[RunId("r")].state == "succeeded"
