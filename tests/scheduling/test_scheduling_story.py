"""The story of a star tells everything that brought it where it is, and nothing of others."""

from __future__ import annotations

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    TaskStarLine,
    UpdateStar,
)
from constellation.scheduling import events as ev
from constellation.scheduling.story import story

from .harness import Harness, star


def line(source: str, target: str, when: str | None = None) -> TaskStarLine:
    return TaskStarLine(source, target, when=when)  # type: ignore[arg-type]


def told(h: Harness, name: str) -> list[str]:
    return [text.split(" ", 1)[1] for text in story(h.entries, name)]


def test_a_star_that_was_refused_failed_was_lost_and_succeeded(h: Harness) -> None:
    h.join("d0", slots=1)
    h.start(star("a", retry=RetryPolicy(2, 0.0)), star("other", "nowhere"))
    h.reject("a", "no-slot")
    h.wait(1)
    h.begun("a")
    h.fail("a")
    h.leave("d0")
    h.join("d0")
    h.restart()
    h.join("d0", known=(h.attempt("a").id,))
    h.succeed("a", duration_s=1.5)
    assert told(h, "a")[:17] == [
        "it is ready",
        "attempt r/a/1 was given to d0, and may be repeated",
        "it is assigned",
        "d0 refused attempt r/a/1 (no-slot): no",
        "it goes back in the queue after 0.25 s: Rejected: device 'd0' did not take it (no-slot): no",
        "it is ready",
        "the timer 'retry:a' fired",
        "attempt r/a/2 was given to d0, and may be repeated",
        "it is assigned",
        "d0 began with attempt r/a/2",
        "it is running",
        "attempt r/a/2 failed on d0: Boom: it broke",
        "it goes back in the queue after 0 s: Boom: it broke",
        "it is ready",
        "attempt r/a/3 was given to d0, and may be repeated",
        "it is assigned",
        "attempt r/a/3 was lost: device 'd0' is gone (unplugged)",
    ]
    assert told(h, "a")[-1] == "it succeeded"
    text = " | ".join(told(h, "a"))
    for part in ("was lost: device 'd0'", "another orchestrator took the run up", "came back with attempt", "in 1.5 s"):
        assert part in text
    assert story(h.entries, "a")[0].startswith("00:01:40.000 ")


def test_edits_and_what_it_waits_for_are_part_of_a_stars_story(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("x"))
    h.edit(AddStar(star("b")), AddLine(line("a", "b", "output.n > 1")), author="ann", reason="more")
    h.edit(UpdateStar(star("b", arguments={"x": 1})), AddLine(line("x", "b")))
    h.edit(RemoveLine("x", "b"))  # type: ignore[arg-type]
    h.ask(ev.HoldTaken, "b")
    h.ask(ev.HoldReleased, "b", "seen")
    h.succeed("a", {"n": 0})
    assert told(h, "b") == [
        "edit by ann (more): add star 'b'",
        "edit by ann (more): add line 'a' → 'b'",
        "it is pending",
        "edit: update star 'b'",
        "edit: add line 'x' → 'b'",
        "edit: remove line 'x' → 'b'",
        "what waits for it was held",
        "its review, or a hold on it, ended: seen",
        "the condition of line 'a' → 'b' came to False",
        "'a', which it waits for, succeeded",
        "it was skipped: Skipped: 'a' succeeded, but its output does not meet the condition output.n > 1",
    ]
    assert story(h.entries, "nobody") == []


def test_cancelling_stopping_and_the_end_of_the_run_are_told(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"), star("c"), star("ask", work=Approval("ok?")))
    h.ask(ev.RunPaused)
    h.ask(ev.RunUnpaused)
    h.ask(ev.ApprovalAnswered, "ask", False, "ann")
    h.edit(RemoveStar("a"), RemoveStar("c"))  # type: ignore[arg-type]
    h.stopped("a")
    h.ask(ev.CancelRequested, reason="enough")
    h.stopped("b")
    assert told(h, "a")[-5:] == [
        "the edit removes it while it runs, so it is cancelled",
        "d0 has stopped attempt r/a/1",
        "it was cancelled: Cancelled: removed by an edit",
        "it was asked to cancel the run: enough",
        "the run ended: cancelled",
    ]
    assert "it was denied by ann" in told(h, "ask")
    assert told(h, "b")[3:5] == ["the run was paused", "the run went on"]
    assert "it is gone" in told(h, "c")


def test_a_single_star_that_is_cancelled_says_so(h: Harness) -> None:
    h.start(star("a"), star("b"))
    h.ask(ev.CancelRequested, "a")
    assert told(h, "a")[1:] == ["it was asked to cancel it", "it was cancelled: Cancelled: cancelled"]


def test_timers_are_told_of_the_star_that_they_are_about_whatever_others_are_called(h: Harness) -> None:
    h.join(slots=9)
    names = ("1", "r", "a", "timeout", "a:b", "x")
    h.start(*(star(name, timeout_s=5.0, retry=RetryPolicy(2, 1.0)) for name in names))
    h.fail("a:b")
    h.begun("x")
    h.wait(8)
    fired = {name: [text for text in told(h, name) if "timer" in text] for name in names}
    assert fired == {
        **{name: [] for name in names},
        "a:b": ["the timer 'retry:a:b' fired"],
        "x": ["the timer 'timeout:r/x/1' fired"],
    }
