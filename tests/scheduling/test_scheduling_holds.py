"""Holds and reviews, edits of a graph that runs, and the answers of people."""

from __future__ import annotations

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    EditRejected,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarState,
    TaskStarLine,
    Trigger,
    UnknownStar,
    UpdateStar,
)
from constellation.scheduling import NotWaiting
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev

from .harness import Harness, R, star


def line(source: str, target: str, trigger: Trigger = Trigger.SUCCESS, when: str | None = None) -> TaskStarLine:
    return TaskStarLine(source, target, trigger, when)  # type: ignore[arg-type]


# --- holds and reviews ---


def test_only_what_waits_for_a_star_under_review_is_held(h: Harness) -> None:
    h.join(slots=4)
    h.start(star("a"), star("b"), star("x"), star("y"), line("a", "b"), line("x", "y"), review=True)
    h.succeed("a")
    assert h.told(cmd.RequestReview) == [cmd.RequestReview(R, "a")]  # type: ignore[arg-type]
    h.succeed("x")
    h.ask(ev.HoldReleased, "x")
    assert h.states() == {"a": "succeeded", "b": "pending", "x": "succeeded", "y": "assigned"}
    h.ask(ev.HoldReleased, "a")
    assert h.state("b") is StarState.ASSIGNED


def test_a_star_that_failed_is_reviewed_before_what_waits_for_it_is_skipped(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), review=True)
    h.fail("a")
    assert (h.state("b"), h.machine.ended) == (StarState.PENDING, False)
    h.edit(RemoveLine("a", "b"))  # type: ignore[arg-type]
    assert h.state("b") is StarState.ASSIGNED
    h.ask(ev.HoldReleased, "a")
    h.succeed("b")
    h.ask(ev.HoldReleased, "b")
    assert h.machine.state == "failed"


def test_a_review_that_never_ends_is_given_up(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), review=True, review_timeout_s=20.0)
    h.succeed("a")
    h.wait(19)
    assert h.state("b") is StarState.PENDING
    h.wait(2)
    assert h.state("b") is StarState.ASSIGNED
    h.ask(ev.HoldReleased, "a")
    assert h.machine.stale == 1


def test_a_run_waits_for_its_last_review(h: Harness) -> None:
    h.join()
    h.start(star("a"), review=True)
    h.succeed("a")
    assert not h.machine.ended
    h.edit(AddStar(star("b")))
    h.ask(ev.HoldReleased, "a")
    h.succeed("b")
    h.ask(ev.HoldReleased, "b")
    assert h.machine.state == "succeeded"


def test_cancelled_stars_are_not_reviewed(h: Harness) -> None:
    h.start(star("a"), review=True)
    h.ask(ev.CancelRequested, "a")
    assert (h.machine.ended, h.told(cmd.RequestReview)) == (True, [])


def test_holds_add_up_and_the_end_of_a_review_does_not_end_those_that_people_took(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), review=True, review_timeout_s=20.0)
    h.ask(ev.HoldTaken, "a")
    h.ask(ev.HoldTaken, "a")
    h.succeed("a")
    h.wait(60)
    assert h.state("b") is StarState.PENDING
    h.ask(ev.HoldReleased, "a")
    assert h.state("b") is StarState.PENDING
    h.ask(ev.HoldReleased, "a")
    assert h.state("b") is StarState.ASSIGNED
    with pytest.raises(UnknownStar):
        h.ask(ev.HoldTaken, "nobody")


def test_a_restart_asks_for_the_review_again_and_gives_it_its_whole_time(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), review=True, review_timeout_s=20.0)
    h.succeed("a")
    h.now += 100
    h.restart(review=True)
    assert h.told(cmd.RequestReview) == [cmd.RequestReview(R, "a")]  # type: ignore[arg-type]
    h.wait(19)
    assert h.state("b") is StarState.PENDING
    h.wait(2)
    assert h.state("b") is StarState.READY


def test_a_restart_without_a_planner_ends_its_reviews_but_not_the_holds_of_people(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), star("c"), star("d"), line("a", "b"), line("c", "d"), review=True)
    h.ask(ev.HoldTaken, "c")
    h.succeed("a")
    h.succeed("c")
    h.restart(review=False)
    h.join()
    assert h.states() == {"a": "succeeded", "b": "assigned", "c": "succeeded", "d": "pending"}
    h.ask(ev.HoldReleased, "c")
    assert h.state("d") is StarState.ASSIGNED
    h.succeed("b")
    assert not h.told(cmd.RequestReview)


# --- edits ---


def test_an_edit_is_told_with_its_author_and_reason(h: Harness) -> None:
    h.start(star("a"))
    h.edit(AddStar(star("b")), author="ann", reason="more")
    (told,) = h.told(cmd.EditApplied)
    assert (told.author, told.reason, told.applied.added) == ("ann", "more", ("b",))


def test_an_edit_that_does_not_fit_changes_nothing(h: Harness) -> None:
    h.start(star("a"))
    before = len(h.entries)
    with pytest.raises(EditRejected, match="there is no star 'x'"):
        h.edit(AddStar(star("b")), RemoveStar("x"))  # type: ignore[arg-type]
    assert (h.states(), len(h.entries)) == ({"a": "ready"}, before)


def test_a_queued_star_that_has_to_wait_again_leaves_the_queue(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"), star("b"))
    h.edit(AddLine(line("a", "b")))
    assert h.state("b") is StarState.PENDING
    h.fail("a")
    assert h.state("b") is StarState.SKIPPED


def test_a_queued_star_is_placed_by_what_an_edit_made_of_it(h: Harness) -> None:
    h.join("d0", slots=1)
    h.start(star("a"), star("b"))
    h.edit(UpdateStar(star("b", arguments={"x": 1}, device="d1")))
    h.succeed("a")
    assert h.state("b") is StarState.READY
    h.join("d1")
    assert (h.on("b"), h.told(cmd.Dispatch)[0].arguments) == ("d1", {"x": 1})


def test_a_queued_star_can_become_one_that_needs_no_device_and_back(h: Harness) -> None:
    h.start(star("a"))
    h.ask(ev.RunPaused)
    h.edit(UpdateStar(star("a", work=Approval("ok?"))))
    h.edit(UpdateStar(star("a")))
    h.edit(UpdateStar(star("a", work=Approval("ok?"))))
    h.ask(ev.RunUnpaused)
    assert h.state("a") is StarState.RUNNING


def test_a_star_that_waits_for_its_retry_begins_again_at_once_when_it_is_edited(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(2, 50.0)))
    h.fail("a")
    h.edit(UpdateStar(star("a", arguments={"x": 1})))
    assert h.attempt("a").id == "r/a/2"
    h.begun("a")
    assert not h.wait(100)


def test_a_device_that_refused_a_star_is_asked_again_once_the_star_was_edited(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.reject("a")
    assert h.state("a") is StarState.READY
    h.edit(UpdateStar(star("a", arguments={"x": 1})))
    assert h.on("a") == "d0"


def test_removing_a_star_that_runs_cancels_it_and_keeps_its_record(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"))
    h.begun("a")
    h.edit(RemoveStar("a"), reason="not needed")  # type: ignore[arg-type]
    assert h.told(cmd.CancelAttempt)[0].reason == "not needed"
    h.stopped("a")
    assert h.states() == {"a": "cancelled", "b": "skipped"}


def test_removing_a_star_that_waits_takes_it_out_of_the_queue(h: Harness) -> None:
    h.start(star("a"), star("b"))
    h.edit(RemoveStar("a"), RemoveStar("b"))  # type: ignore[arg-type]
    assert h.told(cmd.RunSettled)[0].state == "succeeded"


def test_removing_an_approval_that_waits_cancels_it(h: Harness) -> None:
    h.start(star("a", work=Approval("ok?"), timeout_s=5.0))
    h.edit(RemoveStar("a"))  # type: ignore[arg-type]
    assert (h.state("a"), h.error("a").message) == (StarState.CANCELLED, "removed by an edit")
    assert not h.wait(10)


def test_the_numbers_of_attempts_are_never_used_again_under_the_same_id(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(2, 50.0)), star("z", "nowhere"))
    h.fail("a")
    h.edit(RemoveStar("a"))  # type: ignore[arg-type]
    h.edit(AddStar(star("a")))
    assert h.attempt("a").id == "r/a/2"


def test_a_star_removed_while_it_waits_for_a_retry_leaves_no_timer_for_one_of_its_name(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(3, 40.0, jitter=0.0)))
    h.fail("a")
    h.edit(RemoveStar("a"), AddStar(star("a", retry=RetryPolicy(3, 60.0, jitter=0.0))))  # type: ignore[arg-type]
    h.fail("a")
    assert not h.wait(50)
    h.wait(11)
    assert h.attempt("a").id == "r/a/3"


def test_a_timer_of_what_is_over_changes_nothing(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    for timer in (
        "retry:a",
        "retry:x",
        "timeout:r/a/9",
        "cancel:r/a/1",
        "wait:a",
        "review:a",
        "reconcile:",
        "deadline",
        "odd",
    ):
        handled = h.machine.apply(ev.TimerFired(h.now, R, timer), [])
        assert (handled is None) is (timer != "deadline"), timer
    h.entries.append(ev.JournalEntry(ev.TimerFired(h.now, R, "deadline")))


# --- approvals ---


def test_an_approval_asks_with_its_arguments_and_holds_no_slot(h: Harness) -> None:
    h.join(slots=1)
    work = Approval("deploy?", {"what": {"$ref": "a#/n"}})
    h.start(star("a"), star("ask", work=work), star("b"), line("a", "b"))
    h.succeed("a", {"n": 1})
    assert h.told(cmd.AskApproval) == [cmd.AskApproval(R, "ask", "deploy?", {"what": 1})]  # type: ignore[arg-type]
    assert h.on("b") == "d0"
    h.ask(ev.ApprovalAnswered, "ask", True, "ann", "fine")
    assert h.outcome("ask").output == {"approved": True, "by": "ann", "comment": "fine"}
    assert h.outcome("ask").attempts == 1


@pytest.mark.parametrize(
    ("by", "comment", "message"), [("ann", "too late", "denied by ann: too late"), ("", "", "denied")]
)
def test_a_denied_approval_fails(h: Harness, by: str, comment: str, message: str) -> None:
    h.start(star("a", work=Approval("ok?")))
    h.ask(ev.ApprovalAnswered, "a", False, by, comment)
    assert (h.error("a").type, h.error("a").message) == ("ApprovalDenied", message)


def test_an_approval_that_nobody_answers_counts_as_denied(h: Harness) -> None:
    h.start(star("a", work=Approval("ok?"), timeout_s=60.0))
    h.wait(61)
    assert h.error("a").type == "ApprovalTimedOut"


def test_an_answer_to_what_nobody_asked_is_refused(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("ask", work=Approval("ok?")), line("a", "ask"))
    for name in ("a", "ask", "nobody"):
        with pytest.raises(NotWaiting, match=f"star '{name}' is not waiting"):
            h.ask(ev.ApprovalAnswered, name, True)


def test_an_approval_is_asked_again_once_after_a_restart(h: Harness) -> None:
    h.join()
    h.start(star("a", work=Approval("ok?")), star("b"), star("c", work=Approval("and?")), line("b", "c"), review=True)
    h.succeed("b")
    h.restart(review=False)
    assert sorted(told.star for told in h.told(cmd.AskApproval)) == ["a", "c"]
    h.ask(ev.ApprovalAnswered, "a", True)
    assert h.state("a") is StarState.SUCCEEDED
