"""What moves a run as a whole: triggers, cancelling, pausing, deadlines, faults in references, being stuck."""

from __future__ import annotations

import pytest

from constellation.graph import (
    Approval,
    InvalidDocument,
    Outcome,
    RetryPolicy,
    StarError,
    StarState,
    TaskConstellation,
    TaskStarLine,
    Trigger,
    UnknownStar,
)
from constellation.graph.documents import dump
from constellation.scheduling import RunEnded, RunExists, Scheduler
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.quiescence import explain_waiting

from .harness import Harness, R, star


def line(source: str, target: str, trigger: Trigger = Trigger.SUCCESS, when: str | None = None) -> TaskStarLine:
    return TaskStarLine(source, target, trigger, when)  # type: ignore[arg-type]


# --- triggers ---


def test_a_failure_that_a_line_waits_for_is_handled_when_the_star_behind_it_succeeds(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("mend"), star("next"), line("a", "mend", Trigger.FAILURE), line("a", "next"))
    h.fail("a")
    assert h.states() == {"a": "failed", "mend": "assigned", "next": "skipped"}
    h.succeed("mend")
    assert h.told(cmd.RunSettled)[0].state == "succeeded"


def test_a_failure_whose_handler_fails_too_is_not_handled(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("mend"), line("a", "mend", Trigger.FAILURE))
    h.fail("a")
    h.fail("mend")
    assert h.told(cmd.RunSettled)[0].error == StarError("RunFailed", "2 star(s) failed", {"stars": ["a", "mend"]})


def test_skipping_goes_on_through_the_graph_until_a_completion_line(h: Harness) -> None:
    h.join()
    h.start(
        star("a"),
        star("b"),
        star("c"),
        star("end"),
        line("a", "b"),
        line("b", "c"),
        line("c", "end", Trigger.COMPLETION),
    )
    h.fail("a")
    assert h.states() == {"a": "failed", "b": "skipped", "c": "skipped", "end": "assigned"}
    assert h.error("b").message == "waits for the success of 'a', which failed"
    assert {told.star for told in h.told(cmd.StarSettled)} == {"a", "b", "c"}


def test_what_a_condition_came_to_is_in_the_journal_and_is_not_worked_out_again(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), star("c"), line("a", "b", when="output.n > 1"), line("a", "c", when="output.n > 5"))
    h.succeed("a", {"n": 3})
    assert h.states() == {"a": "succeeded", "b": "assigned", "c": "skipped"}
    (entry,) = [entry for entry in h.entries if entry.verdicts]
    assert entry.verdicts == {"a>b": True, "a>c": False}
    machine = Scheduler().recover([*h.entries[:-2], ev.JournalEntry(entry.event, {"a>b": False, "a>c": True})])
    assert [machine.graph.state(name).value for name in "bc"] == ["skipped", "ready"]


def test_a_condition_that_fails_fails_the_star_behind_it(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b", when="output.missing > 1"))
    h.succeed("a", {})
    assert h.error("b").type == "ConditionError"
    assert h.told(cmd.RunSettled)[0].state == "failed"


def test_a_reference_to_what_the_output_does_not_have_fails_the_star(h: Harness) -> None:
    h.join()
    h.start(
        star("a"), star("b", arguments={"x": {"$ref": "a#/files/3"}}), star("c"), line("b", "c", Trigger.COMPLETION)
    )
    h.succeed("a", {"files": ["x"]})
    assert h.error("b").type == "ReferenceFault"
    assert "a list of 1" in h.error("b").message
    assert h.state("c") is StarState.ASSIGNED


def test_a_long_chain_of_faulty_references_is_followed_to_its_end(h: Harness) -> None:
    h.join()
    stars = [star(f"s{n}", arguments={"x": {"$ref": "a#/none"}}) for n in range(600)]
    lines = [line(f"s{n}", f"s{n + 1}", Trigger.COMPLETION) for n in range(599)]
    h.start(star("a"), *stars, *lines)
    h.succeed("a", {})
    assert h.machine.state == "failed"


def test_a_reference_to_a_star_that_did_not_succeed_stands_for_nothing(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b", arguments={"x": {"$ref": "a#/n"}}), line("a", "b", Trigger.COMPLETION))
    h.fail("a")
    assert h.told(cmd.Dispatch)[0].arguments == {"x": None}


# --- cancelling ---


def test_cancelling_a_star_that_waits_ends_it_at_once(h: Harness) -> None:
    h.start(star("a"), star("b"), line("a", "b"))
    h.ask(ev.CancelRequested, "b", reason="no need")
    assert (h.state("b"), h.error("b").message) == (StarState.CANCELLED, "no need")
    h.ask(ev.CancelRequested, "a")
    assert h.told(cmd.RunSettled)[0].state == "succeeded"


@pytest.mark.parametrize("answer", ["stopped", "succeed", "fail"])
def test_a_star_that_is_being_cancelled_is_cancelled_whatever_its_device_answers(h: Harness, answer: str) -> None:
    h.join()
    h.start(star("a", "once", retry=RetryPolicy(5, 0.0)), star("b"), line("a", "b"))
    h.begun("a")
    h.ask(ev.CancelRequested, "a")
    (cancel,) = h.told(cmd.CancelAttempt)
    assert (cancel.device, cancel.epoch, cancel.grace_s) == ("d0", 1, 5.0)
    getattr(h, answer)("a")
    assert h.states() == {"a": "cancelled", "b": "skipped"}
    assert h.free() == 2
    assert not h.wait(60)


def test_a_star_whose_device_never_answers_is_cancelled_at_the_deadline(h: Harness) -> None:
    h.join()
    h.start(star("a"), cancel_grace_s=4.0)
    h.begun("a")
    h.ask(ev.CancelRequested, "a")
    assert not h.wait(3.9)
    h.wait(0.2)
    assert (h.state("a"), h.machine.state) == (StarState.CANCELLED, "succeeded")


def test_cancelling_a_subtree_takes_all_that_waits_for_it_and_nothing_else(h: Harness) -> None:
    h.join()
    h.start(
        star("a"), star("b"), star("c"), star("other"), line("a", "b"), line("b", "c", Trigger.COMPLETION)
    )  # fmt: skip
    h.ask(ev.CancelRequested, "a", subtree=True)
    assert h.states() == {"a": "assigned", "b": "cancelled", "c": "cancelled", "other": "assigned"}
    h.stopped("a")
    assert h.state("a") is StarState.CANCELLED


def test_cancelling_what_has_ended_changes_nothing(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"))
    h.succeed("a")
    h.ask(ev.CancelRequested, "a")
    assert h.machine.stale == 1
    with pytest.raises(UnknownStar, match="'x'"):
        h.ask(ev.CancelRequested, "x")


def test_a_cancelled_run_stops_what_runs_cancels_the_rest_and_takes_no_requests(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"), star("b"), star("c"), line("a", "c", Trigger.COMPLETION))
    h.ask(ev.CancelRequested, reason="enough")
    assert h.states() == {"a": "assigned", "b": "cancelled", "c": "cancelled"}
    assert (h.machine.closing, h.machine.ended) == (True, False)
    for request in (
        lambda: h.ask(ev.CancelRequested),
        lambda: h.ask(ev.RunPaused),
        lambda: h.ask(ev.HoldTaken, "a"),
        lambda: h.edit(),
    ):
        with pytest.raises(RunEnded, match="has been cancelled already"):
            request()
    h.stopped("a")
    assert h.told(cmd.RunSettled) == [cmd.RunSettled(R, "cancelled", StarError("Cancelled", "enough"))]
    with pytest.raises(RunEnded, match="has cancelled already"):
        h.ask(ev.RunUnpaused)


def test_a_run_that_is_cancelled_lets_go_of_all_holds_and_reviews(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), review=True)
    h.succeed("a")
    h.ask(ev.HoldTaken, "a")
    h.ask(ev.HoldTaken, "a")
    h.ask(ev.CancelRequested)
    assert h.machine.state == "cancelled"


# --- deadline and pause ---


def test_a_run_that_takes_too_long_fails(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), deadline_s=30.0)
    assert not h.wait(29)
    h.wait(2)
    assert (h.state("b"), len(h.told(cmd.CancelAttempt))) == (StarState.CANCELLED, 1)
    h.stopped("a")
    assert h.told(cmd.RunSettled) == [
        cmd.RunSettled(R, "failed", StarError("DeadlineExceeded", "the run took longer than its deadline of 30.0 s"))
    ]


def test_a_deadline_means_nothing_to_a_run_that_is_being_cancelled(h: Harness) -> None:
    h.join()
    h.start(star("a"), deadline_s=5.0)
    h.ask(ev.CancelRequested)
    h.wait(6)
    h.stopped("a")
    assert h.machine.state == "cancelled"
    assert not h.wait(60)


def test_while_a_run_is_paused_nothing_begins_and_what_runs_goes_on(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), star("ask", work=Approval("ok?")), line("a", "b"), line("a", "ask"))
    h.ask(ev.RunPaused)
    h.succeed("a")
    assert h.states() == {"a": "succeeded", "b": "ready", "ask": "ready"}
    h.wait(60)
    assert h.machine.state == "paused"
    h.ask(ev.RunPaused)
    h.ask(ev.RunUnpaused)
    assert h.states() == {"a": "succeeded", "b": "assigned", "ask": "running"}
    h.ask(ev.RunUnpaused)
    assert h.machine.stale == 2


def test_a_star_that_no_device_matches_is_not_given_up_while_its_run_is_paused(h: Harness) -> None:
    h.start(star("a"))
    h.ask(ev.RunPaused)
    h.wait(60)
    h.ask(ev.RunUnpaused)
    h.wait(5)
    assert h.state("a") is StarState.READY
    h.wait(10)
    assert h.error("a").type == "NoDevice"


def test_a_retry_that_comes_due_during_a_pause_waits_for_its_end(h: Harness) -> None:
    h.join()
    h.start(star("a", retry=RetryPolicy(2, 1.0)))
    h.fail("a")
    h.ask(ev.RunPaused)
    h.wait(5)
    assert h.state("a") is StarState.READY
    h.ask(ev.RunUnpaused)
    assert h.attempt("a").id == "r/a/2"


def test_a_star_parked_by_a_pause_can_be_cancelled(h: Harness) -> None:
    h.start(star("ask", work=Approval("ok?")), star("b"))
    h.join()
    h.start(star("x"), star("ask", work=Approval("ok?")), line("x", "ask"), run=ev.RunId("q"))
    h.handle(ev.RunPaused(h.now, ev.RunId("q")))
    h.succeed("x", run=ev.RunId("q"))
    h.handle(ev.CancelRequested(h.now, ev.RunId("q"), ev.StarId("ask")))
    assert h.scheduler.runs[ev.RunId("q")].ended


# --- being stuck, beginning in the middle ---


def test_a_run_in_which_nothing_can_move_ends_and_says_what_each_star_waits_for(h: Harness) -> None:
    h.join()
    h.start(*(star(name) for name in "abc"), line("a", "b"), line("b", "c"), review=True)
    # No event leads here: it takes a hold that the run knows nothing of, as a bug of ours would leave behind.
    h.scheduler._validate = False
    h.graph.hold("a")  # type: ignore[arg-type]
    h.succeed("a")
    h.ask(ev.HoldReleased, "a")
    assert h.states() == {"a": "succeeded", "b": "failed", "c": "failed"}
    assert h.error("b") == StarError("Stuck", "waits for 'a' (succeeded, held for review)")
    assert h.error("c") == StarError("Stuck", "waits for 'b' (pending)")
    assert h.told(cmd.RunSettled)[0].state == "failed"
    assert not h.told(cmd.RequestReview)
    h.entries.clear()
    h.scheduler.drop(R)


def test_what_stars_wait_for_is_said_in_words(h: Harness) -> None:
    h.join(slots=1)
    sources = [star(f"s{number}", priority=-number) for number in range(7)]
    h.start(*sources, star("end"), star("odd"), *(line(source.id, "end") for source in sources))
    words = explain_waiting(h.graph)
    assert words["s0"] == "is assigned"
    assert words["s1"] == "waits for a device"
    assert words["end"].endswith("'s4' (ready) and 2 more")
    # Held, though its lines are met: only a hold taken after that leads here.
    node = h.graph._node("odd")
    node.state = StarState.PENDING
    assert explain_waiting(h.graph)["odd"] == "waits for the review of a star before it to end"
    node.state = StarState.READY


def test_a_run_may_begin_with_stars_that_have_ended(h: Harness) -> None:
    graph = TaskConstellation("half")
    for name in ("a", "bad"):
        graph.star(name, "t")
    graph.star("b", "t", after=["a"])
    graph.activate()
    graph.enter("a", StarState.ASSIGNED)  # type: ignore[arg-type]
    graph.settle("a", StarState.SUCCEEDED, Outcome(output=1))  # type: ignore[arg-type]
    graph.settle("bad", StarState.FAILED, Outcome(error=StarError("Boom", "x")))  # type: ignore[arg-type]
    h.join()
    h.handle(ev.RunStarted(h.now, R, dump(graph)))
    assert h.states() == {"a": "succeeded", "bad": "failed", "b": "assigned"}
    h.succeed("b")
    assert h.machine.state == "failed"


def test_a_run_may_not_begin_with_stars_that_run_elsewhere(h: Harness) -> None:
    graph = TaskConstellation("half")
    graph.star("a", "t")
    graph.activate()
    graph.enter("a", StarState.ASSIGNED)  # type: ignore[arg-type]
    with pytest.raises(InvalidDocument, match="assigned elsewhere"):
        h.handle(ev.RunStarted(h.now, R, dump(graph)))
    assert not h.scheduler.runs


def test_a_run_cannot_begin_twice(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    with pytest.raises(RunExists, match="'r' already"):
        h.start(star("b"))
    with pytest.raises(RunExists):
        h.scheduler.recover(h.entries)
    assert h.states() == {"a": "assigned"}
