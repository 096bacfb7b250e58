"""What becomes of attempts: begun, ended, refused, retried, late, lost, found again."""

from __future__ import annotations

import pytest

from constellation.graph import RetryPolicy, StarId, StarState, TaskStarLine, Trigger
from constellation.scheduling import AttemptId, DeviceId, RunId, UnknownRun
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.retry import delay_s

from .harness import Harness, R, star

RETRY = RetryPolicy(max_attempts=3, backoff_s=1.0, factor=2.0, jitter=0.5)


def line(source: str, target: str, trigger: Trigger = Trigger.SUCCESS, when: str | None = None) -> TaskStarLine:
    return TaskStarLine(source, target, trigger, when)  # type: ignore[arg-type]


def test_a_star_is_assigned_runs_and_succeeds_and_its_output_feeds_the_next(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b", arguments={"x": {"$ref": "a#/n"}}))
    (dispatch,) = h.told(cmd.Dispatch)
    assert (dispatch.attempt, dispatch.device, dispatch.epoch) == ("r/a/1", "d0", 1)
    assert h.states() == {"a": "assigned", "b": "pending"}
    h.begun("a")
    assert h.state("a") is StarState.RUNNING
    assert h.told(cmd.StarStarted) == [cmd.StarStarted(R, "a", "r/a/1", "d0")]
    h.now += 2
    h.succeed("a", {"n": 7})
    (dispatch,) = h.told(cmd.Dispatch)
    assert dispatch.arguments == {"x": 7}
    outcome = h.outcome("a")
    assert (outcome.output, outcome.device, outcome.attempts) == ({"n": 7}, "d0", 1)
    assert (outcome.started_at, outcome.ended_at) == (100.0, 102.0)
    h.succeed("b")
    assert h.told(cmd.RunSettled) == [cmd.RunSettled(R, "succeeded", None)]


def test_a_result_without_word_of_a_start_counts(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.succeed("a")
    assert h.state("a") is StarState.SUCCEEDED


def test_an_empty_run_succeeds_at_once(h: Harness) -> None:
    h.start()
    assert h.told(cmd.RunSettled) == [cmd.RunSettled(R, "succeeded", None)]


def test_word_of_a_start_is_taken_once(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.begun("a")
    h.begun("a")
    assert h.machine.stale == 1


@pytest.mark.parametrize("wrong", [{"epoch": 9}, {"device": "d1"}, {"attempt": "r/a/2"}])
@pytest.mark.parametrize("kind", ["started", "succeeded", "failed", "cancelled", "rejected", "lost"])
def test_what_comes_under_another_fence_changes_nothing_and_is_counted(h: Harness, wrong: dict, kind: str) -> None:  # type: ignore[type-arg]
    h.join()
    h.start(star("a"))
    h.begun("a")
    error = ev.StarError("Boom", "")
    rest = {
        "started": (ev.AttemptStarted,),
        "succeeded": (ev.AttemptSucceeded, 1),
        "failed": (ev.AttemptFailed, error),
        "cancelled": (ev.AttemptCancelled,),
        "rejected": (ev.AttemptRejected, "no-slot", ""),
        "lost": (ev.AttemptLost, "gone"),
    }[kind]
    before = len(h.entries)
    h.report(rest[0], "a", *rest[1:], **wrong)
    assert (h.state("a"), h.machine.stale, len(h.entries), h.free()) == (StarState.RUNNING, 1, before, 1)


def test_a_result_that_comes_too_late_frees_the_slot_but_does_not_count(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"), star("b"))
    h.begun("a")
    old = h.attempt("a")
    h.ask(ev.CancelRequested, "a")
    h.wait(10)
    assert h.error("a").message == "cancelled (device 'd0' did not confirm that it stopped)"
    assert h.free() == 0
    h.handle(ev.AttemptSucceeded(h.now, R, "a", old.id, old.device, old.epoch, 1))
    assert h.state("a") is StarState.CANCELLED
    assert h.on("b") == "d0"


def test_a_report_of_an_earlier_session_does_not_free_the_slot_of_an_attempt_that_was_kept(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"))
    h.begun("a")
    h.join(known=("r/a/1",), slots=1)
    h.succeed("a", epoch=1)
    assert (h.state("a"), h.free()) == (StarState.RUNNING, 0)


def test_a_report_on_a_run_that_was_dropped_frees_the_slot_and_is_counted(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"))
    h.begun("a")
    old = h.attempt("a")
    h.ask(ev.CancelRequested)
    h.wait(10)
    h.scheduler.drop(R)
    h.handle(ev.AttemptCancelled(h.now, R, "a", old.id, old.device, old.epoch))
    h.handle(ev.AttemptStarted(h.now, R, "a", old.id, old.device, old.epoch))
    h.handle(ev.HoldReleased(h.now, R, "a"))
    assert (h.free(), h.scheduler.stale) == (1, 3)
    with pytest.raises(UnknownRun, match="there is no run 'r' here"):
        h.ask(ev.RunPaused)


# --- failures and retries ---


def test_a_failure_without_a_policy_ends_the_star_and_the_run(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"))
    h.fail("a")
    assert (h.states(), h.error("a").type) == ({"a": "failed", "b": "skipped"}, "Boom")
    (settled,) = h.told(cmd.RunSettled)
    assert settled.state == "failed"
    assert settled.error is not None
    assert settled.error.details == {"stars": ["a"]}


def test_a_failed_star_is_tried_again_after_a_growing_delay_that_follows_from_the_attempt(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RETRY))
    for number in (1, 2):
        h.fail("a")
        (retrying,) = h.told(cmd.StarRetrying)
        expected = delay_s(RETRY, number, f"r/a/{number}")  # type: ignore[arg-type]
        assert retrying.delay_s == expected
        assert 0.5 * 2 ** (number - 1) < expected <= 2 ** (number - 1)
        assert (h.state("a"), h.free()) == (StarState.READY, 2)
        assert not h.wait(expected * 0.99)
        h.wait(expected * 0.02)
        assert h.attempt("a").id == f"r/a/{number + 1}"
    h.fail("a")
    assert (h.state("a"), h.outcome("a").attempts) == (StarState.FAILED, 3)


def test_delays_have_a_ceiling_and_attempts_differ() -> None:
    policy = RetryPolicy(9, backoff_s=1.0, factor=10.0, max_backoff_s=5.0, jitter=0.0)
    assert [delay_s(policy, n, "r/a/1") for n in (1, 2, 3)] == [1.0, 5.0, 5.0]  # type: ignore[arg-type]
    assert len({delay_s(RETRY, 1, f"r/a/{n}") for n in range(20)}) == 20  # type: ignore[arg-type]


def test_delays_stop_growing_where_numbers_end() -> None:
    after_thousands = [
        delay_s(policy, 5000, "r/a/1")  # type: ignore[arg-type]
        for policy in (
            RetryPolicy(9999, jitter=0.0),
            RetryPolicy(9999, factor=10**9, jitter=0.0),
            RetryPolicy(9999, factor=1e308, max_backoff_s=5.0, jitter=0.0),
            RetryPolicy(9999, backoff_s=0.0),
        )
    ]
    assert after_thousands == [60.0, 60.0, 5.0, 0.0]


def test_only_errors_that_the_policy_names_are_tried_again(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(3, 0.0, on=("Flaky",))))
    h.fail("a", "Flaky")
    assert h.attempt("a").id == "r/a/2"
    h.fail("a", "Fatal")
    assert (h.state("a"), h.error("a").type) == (StarState.FAILED, "Fatal")


def test_work_that_a_device_stops_by_itself_is_placed_again_where_that_is_safe(h: Harness) -> None:
    h.join()
    h.start(star("a", idempotent=True), star("b", "once", idempotent=False))
    h.stopped("a")
    assert h.attempt("a").id == "r/a/2"
    h.stopped("b")
    assert (h.state("b"), h.error("b").type) == (StarState.FAILED, "AttemptOutcomeUnknown")
    assert "stopped it by itself" in h.error("b").message


# --- refusals ---


def test_a_device_that_refuses_a_star_is_not_asked_again(h: Harness) -> None:
    h.join("d0")
    h.join("d1")
    h.start(star("a"))
    assert h.on("a") == "d0"
    h.reject("a")
    assert (h.on("a"), h.attempt("a").id) == ("d1", "r/a/2")
    h.reject("a")
    assert h.state("a") is StarState.READY
    h.wait(12)
    assert "d0 has refused it; d1 has refused it" in h.error("a").message


@pytest.mark.parametrize("code", ["no-slot", "draining"])
def test_a_device_that_is_busy_is_asked_again_after_a_moment(h: Harness, code: str) -> None:
    h.join()
    h.start(star("a"))
    h.reject("a", code)
    assert not h.told(cmd.Dispatch)
    h.wait(0.25)
    assert h.on("a") == "d0"


def test_a_device_that_stays_busy_is_asked_less_and_less_often(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    for wait_s in (0.25, 0.5, 1.0, 2.0, 4.0, 4.0):
        h.reject("a", "no-slot")
        h.wait(wait_s - 0.125)
        assert h.state("a") is StarState.READY
        h.wait(0.125)
        assert h.on("a") == "d0"


def test_a_refusal_does_not_count_as_a_failure(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(2, 0.0)))
    h.reject("a", "no-slot")
    h.wait(1)
    h.fail("a")
    assert h.attempt("a").id == "r/a/3"


def test_work_that_began_and_is_then_refused_has_an_unknown_outcome(h: Harness) -> None:
    h.join()
    h.start(star("a", "once"))
    h.begun("a")
    h.reject("a")
    assert h.error("a").type == "AttemptOutcomeUnknown"


# --- timeouts ---


def test_the_device_comes_first_with_a_timeout(h: Harness) -> None:
    h.join()
    h.start(star("a", timeout_s=5.0), timeout_margin_s=2.0)
    h.begun("a")
    assert not h.wait(6.9)
    h.fail("a", "TimedOut")
    assert h.error("a").type == "TimedOut"
    assert not h.wait(60)


def overdue(h: Harness, tool: str, **fields: object) -> None:
    h.join()
    h.start(star("a", tool, timeout_s=5.0, **fields), timeout_margin_s=2.0, cancel_grace_s=10.0)
    h.begun("a")
    h.wait(7)
    (cancel,) = h.told(cmd.CancelAttempt)
    assert (cancel.attempt, cancel.grace_s, cancel.reason) == ("r/a/1", 5.0, "it took longer than 5.0 s")
    assert h.state("a") is StarState.RUNNING


def test_an_overdue_attempt_is_stopped_and_has_failed_when_the_device_confirms(h: Harness) -> None:
    overdue(h, "once")
    h.stopped("a")
    assert (h.state("a"), h.error("a").type, h.free()) == (StarState.FAILED, "TimedOut", 2)


def test_a_confirmed_timeout_is_tried_again_by_policy(h: Harness) -> None:
    overdue(h, "once", retry=RetryPolicy(2, 0.0))
    h.fail("a", "Whatever")
    assert h.attempt("a").id == "r/a/2"


def test_an_unconfirmed_timeout_is_tried_again_only_when_it_may_be(h: Harness) -> None:
    overdue(h, "t", retry=RetryPolicy(2, 0.0))
    h.wait(10)
    assert h.attempt("a").id == "r/a/2"


def test_an_unconfirmed_timeout_of_what_may_not_be_repeated_ends_the_star(h: Harness) -> None:
    overdue(h, "once", retry=RetryPolicy(2, 0.0))
    h.wait(10)
    assert h.error("a").message == "it took longer than 5.0 s, and device 'd0' did not confirm that it stopped"
    assert h.free() == 1


def test_a_result_that_overtakes_the_stop_for_a_timeout_counts(h: Harness) -> None:
    overdue(h, "once", retry=RetryPolicy(2, 0.0))
    h.succeed("a", 5)
    assert h.outcome("a").output == 5
    assert not h.wait(60)


def test_a_refusal_while_being_stopped_confirms_the_stop(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.ask(ev.CancelRequested, "a")
    h.reject("a")
    assert (h.state("a"), h.error("a").message) == (StarState.CANCELLED, "cancelled")


def test_a_cancel_overrides_a_timeout_that_is_being_carried_out(h: Harness) -> None:
    overdue(h, "t", retry=RetryPolicy(3, 0.0))
    h.ask(ev.CancelRequested, "a", reason="enough")
    assert not h.told(cmd.CancelAttempt)
    h.stopped("a")
    assert (h.state("a"), h.error("a").message) == (StarState.CANCELLED, "enough")


def test_no_limit_runs_while_an_attempt_that_begins_is_being_stopped(h: Harness) -> None:
    h.join()
    h.start(star("a", timeout_s=1.0))
    h.ask(ev.CancelRequested, "a")
    h.begun("a")
    h.wait(9)
    assert (h.state("a"), h.told(cmd.CancelAttempt)) == (StarState.RUNNING, [])


# --- losses ---


def test_work_that_may_be_repeated_goes_to_another_device_when_its_own_is_lost(h: Harness) -> None:
    h.join("d0")
    h.join("d1")
    h.start(star("a"))
    h.begun("a")
    h.leave("d0")
    (retrying,) = h.told(cmd.StarRetrying)
    assert (retrying.error.type, retrying.error.message) == ("DeviceLost", "device 'd0' is gone (unplugged)")
    assert (h.on("a"), h.attempt("a").id) == ("d1", "r/a/2")


@pytest.mark.parametrize(("tool", "flag"), [("once", None), ("t", False)])
def test_work_that_may_not_be_repeated_fails_with_an_unknown_outcome(h: Harness, tool: str, flag: bool | None) -> None:
    h.join("d0")
    h.join("d1")
    h.start(star("a", tool, idempotent=flag, retry=RetryPolicy(5, 0.0)))
    h.leave(h.on("a"))
    assert h.error("a").type == "AttemptOutcomeUnknown"
    assert "may or may not have done its work on 'd0'" in h.error("a").message


@pytest.mark.parametrize(("tool", "state"), [("t", StarState.ASSIGNED), ("once", StarState.FAILED)])
def test_a_device_that_was_killed_in_the_middle_says_so_and_the_work_is_repeated_only_where_that_is_safe(
    h: Harness, tool: str, state: StarState
) -> None:
    h.join()
    h.start(star("a", tool))
    h.begun("a")
    h.fail("a", "AttemptOutcomeUnknown")
    assert h.state("a") is state
    if state is StarState.FAILED:
        assert h.error("a").type == "AttemptOutcomeUnknown"


def test_a_star_may_declare_what_its_tool_does_not(h: Harness) -> None:
    h.join("d0")
    h.join("d1")
    h.start(star("a", "once", idempotent=True))
    h.leave("d0")
    assert h.on("a") == "d1"


def test_a_star_that_loses_its_devices_too_often_fails(h: Harness) -> None:
    h.join("d0")
    h.start(star("a"), max_losses=2)
    for _ in range(2):
        h.leave("d0")
        h.join("d0")
        assert h.on("a") == "d0"
    h.leave("d0")
    assert h.error("a").message.endswith("it has lost its device 3 times, so it was not given to another")


def test_a_loss_does_not_count_as_a_failure(h: Harness) -> None:
    h.join("d0")
    h.start(star("a", retry=RetryPolicy(2, 0.0)))
    h.leave("d0")
    h.join("d0")
    h.fail("a")
    assert h.attempt("a").id == "r/a/3"


def test_a_cancelled_attempt_whose_device_is_lost_is_over(h: Harness) -> None:
    h.join()
    h.start(star("a", "once"))
    h.ask(ev.CancelRequested, "a")
    h.leave()
    assert h.state("a") is StarState.CANCELLED


# --- devices that come back ---


def test_a_device_that_comes_back_keeps_what_it_knows_and_loses_what_it_does_not(h: Harness) -> None:
    h.join(slots=2)
    h.start(star("a"), star("b"))
    h.begun("a")
    h.join(known=("r/a/1", "r/z/4", "else/x/1", "nonsense"), slots=2)
    assert (h.attempt("a").id, h.attempt("a").epoch) == ("r/a/1", 2)
    assert (h.attempt("b").id, h.free()) == ("r/b/2", 0)
    # What belongs to no run that is held here may yet be wanted; what is none of ours is left alone.
    assert [cancel.attempt for cancel in h.told(cmd.CancelAttempt)] == ["r/z/4"]
    h.succeed("a")
    assert h.state("a") is StarState.SUCCEEDED


def test_an_attempt_that_is_being_stopped_is_stopped_again_in_the_new_session(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.ask(ev.CancelRequested, "a", reason="enough")
    h.join(known=("r/a/1",))
    (cancel,) = h.told(cmd.CancelAttempt)
    assert (cancel.attempt, cancel.epoch, cancel.reason) == ("r/a/1", 2, "enough")


def test_an_attempt_of_another_device_is_not_adopted(h: Harness) -> None:
    h.join("d0")
    h.start(star("a"))
    h.join("d1", known=("r/a/1",))
    assert (h.on("a"), h.attempt("a").epoch, h.free("d1")) == ("d0", 1, 2)


def test_a_session_that_is_not_newer_than_the_present_one_is_ignored(h: Harness) -> None:
    h.join("d0", epoch=5)
    h.start(star("a"))
    h.join("d0", epoch=5)
    h.join("d0", epoch=4)
    assert (h.scheduler.stale, h.attempt("a").epoch) == (2, 5)


def test_the_end_of_an_earlier_session_is_ignored(h: Harness) -> None:
    h.join("d0")
    h.start(star("a"))
    h.join("d0", known=("r/a/1",))
    h.leave("d0", epoch=1)
    h.handle(ev.AttemptAdopted(h.now, R, "a", "r/a/1", "d0", 1))
    assert (h.scheduler.stale, h.machine.stale, h.attempt("a").epoch) == (1, 1, 2)


def test_ids_of_attempts_that_are_not_ours_are_not_read() -> None:
    assert ev.parse_attempt("r/a/1") == ("r", "a")
    assert ev.parse_attempt("r/a") is None
    assert ev.parse_attempt("../../etc/passwd") is None


def test_an_assignment_that_does_not_fit_changes_nothing(h: Harness) -> None:
    h.start(star("a", "nowhere"))
    machine = h.machine
    for attempt in ("r/a/2", "r/a/0"):
        assigned = ev.StarAssigned(h.now, R, "a", attempt, "d0", 1, True)  # type: ignore[arg-type]
        assert machine.apply(assigned, []) is None
    assert machine.apply(ev.StarAssigned(h.now, R, "zz", "r/zz/1", "d0", 1, True), []) is None  # type: ignore[arg-type]
    assert machine.stale == 3
    assert RunId("r") == machine.run


def test_a_device_that_does_not_begin_in_time_loses_its_lease_but_not_its_slot(h: Harness) -> None:
    h.join("d0", slots=1)
    h.join("d1", slots=1)
    h.start(star("a"))
    h.wait(29)
    assert (h.on("a"), h.attempt("a").id) == ("d0", "r/a/1")
    h.wait(2)
    assert (h.on("a"), h.attempt("a").id) == ("d1", "r/a/2")
    assert [command.attempt for command in h.told(cmd.CancelAttempt)] == ["r/a/1"]
    assert (h.free("d0"), h.free("d1")) == (0, 0)
    h.handle(ev.AttemptSucceeded(h.now, R, StarId("a"), AttemptId("r/a/1"), DeviceId("d0"), 1, "too late"))
    assert (h.state("a"), h.free("d0")) == (StarState.ASSIGNED, 1)
    h.begun("a")
    h.wait(100)
    assert h.state("a") is StarState.RUNNING


def test_what_a_silent_device_may_have_done_is_not_done_again(h: Harness) -> None:
    h.join()
    h.start(star("a", "once", idempotent=False))
    h.wait(32)
    assert (h.state("a"), h.error("a").type) == (StarState.FAILED, "AttemptOutcomeUnknown")


def test_a_star_that_is_stopped_with_its_orchestrator_may_be_so_as_often_as_it_likes(h: Harness) -> None:
    """Whoever stops a run and resumes it day by day has not lost a device."""
    h.join("d0", memory="first")
    h.start(star("a"), max_losses=2)
    for number in range(5):
        h.begun("a")
        h.restart()
        h.join("d0", memory=f"anew {number}")
        assert h.on("a") == "d0"
    h.succeed("a", 1)
    assert h.outcome("a").attempts == 6
    h.replayed()
