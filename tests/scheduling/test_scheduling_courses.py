"""Changes of course while a run is under way: edits by several hands, undoing, removing, cancelling, priorities."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    Applied,
    Approval,
    EditBatch,
    EditConflict,
    EditRejected,
    Nested,
    Operation,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarId,
    StarState,
    TaskConstellation,
    TaskStarLine,
    ToolCall,
    UpdateStar,
)
from constellation.graph.documents import dump
from constellation.scheduling import RunId
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev

from .harness import Harness, R, star

OTHER = RunId("other")


def line(source: str, target: str) -> TaskStarLine:
    return TaskStarLine(StarId(source), StarId(target))


def planned(h: Harness, base: int, *operations: Operation, author: str = "") -> None:
    """An edit by somebody who has looked at an earlier version."""
    h.handle(ev.GraphEdited(h.now, R, EditBatch(operations, base, author)))


# --- several planners ---


def two_regions(h: Harness) -> int:
    """Two chains, `a` to `c` and `x` to `z`, the first star of each under review; gives the version of the graph."""
    h.join(slots=4)
    stars = [star(name) for name in "abcxyz"]
    h.start(*stars, line("a", "b"), line("b", "c"), line("x", "y"), line("y", "z"), review=True)
    h.succeed("a")
    h.succeed("x")
    return h.graph.version


def test_two_planners_that_edit_disjoint_regions_against_one_version_are_both_heard(h: Harness) -> None:
    seen = two_regions(h)
    planned(h, seen, AddStar(star("new-b")), AddLine(line("a", "new-b")), AddLine(line("new-b", "c")), author="one")
    planned(h, seen, RemoveLine(StarId("y"), StarId("z")), UpdateStar(star("z", "once")), author="two")
    assert h.graph.version == seen + 2
    h.ask(ev.HoldReleased, StarId("a"))
    h.ask(ev.HoldReleased, StarId("x"))
    assert h.states() == {
        "a": "succeeded", "b": "assigned", "c": "pending", "new-b": "assigned",
        "x": "succeeded", "y": "assigned", "z": "assigned",
    }  # fmt: skip


def test_of_two_planners_that_edit_one_region_the_second_is_refused_with_the_stars(h: Harness) -> None:
    seen = two_regions(h)
    planned(h, seen, UpdateStar(star("c", "once")))
    before = dump(h.graph)
    with pytest.raises(EditConflict, match="'c' changed in between; look at the graph again") as refused:
        planned(h, seen, UpdateStar(star("b", "once")), AddLine(line("x", "c")))
    assert refused.value.stars == ("c",)
    assert dump(h.graph) == before
    planned(h, h.graph.version, UpdateStar(star("b", "once")), AddLine(line("x", "c")))


def test_an_edit_against_an_older_version_of_what_has_been_dispatched_since_names_the_star(h: Harness) -> None:
    seen = two_regions(h)
    h.ask(ev.HoldReleased, StarId("a"))
    planned(h, seen, UpdateStar(star("z", "once")))
    with pytest.raises(EditRejected, match=r"star 'b' has been dispatched \(assigned\)"):
        planned(h, seen, UpdateStar(star("b", "once")))


def test_two_reviews_at_once_hold_their_own_descendants_and_a_star_behind_both_waits_for_both(h: Harness) -> None:
    h.join(slots=4)
    h.start(*(star(name) for name in "abcd"), line("a", "c"), line("b", "c"), line("a", "d"), review=True)
    h.succeed("a")
    h.succeed("b")
    h.ask(ev.HoldReleased, StarId("a"))
    assert (h.state("c"), h.state("d")) == (StarState.PENDING, StarState.ASSIGNED)
    h.ask(ev.HoldReleased, StarId("b"))
    assert h.state("c") is StarState.ASSIGNED


# --- undoing ---


def applied_by(h: Harness, *operations: Operation) -> Applied:
    h.edit(*operations)
    (told,) = h.told(cmd.EditApplied)
    return told.applied


def undo(h: Harness, applied: Applied) -> None:
    h.handle(ev.GraphEdited(h.now, R, applied.inverse))


def waiting_chain(h: Harness) -> None:
    h.join(slots=1)
    h.start(*(star(name) for name in "abc"), line("a", "b"), line("b", "c"))


def test_an_edit_is_undone_while_nothing_that_it_touched_has_moved(h: Harness) -> None:
    waiting_chain(h)
    before = dump(h.graph)
    applied = applied_by(h, RemoveStar(StarId("b")), AddStar(star("d")), AddLine(line("d", "c")))
    h.edit(AddStar(star("elsewhere")))
    undo(h, applied)
    after = dump(h.graph)
    assert {star: after["stars"][star] for star in "abc"} == before["stars"]
    assert h.graph.lines == [line("a", "b"), line("b", "c")]
    assert "elsewhere" in h.graph


def test_an_undo_is_refused_with_the_star_that_has_been_dispatched_since(h: Harness) -> None:
    waiting_chain(h)
    applied = applied_by(h, UpdateStar(star("b", "once")))
    h.succeed("a")
    with pytest.raises(EditRejected, match=r"star 'b' has been dispatched \(assigned\)"):
        undo(h, applied)


def test_an_undo_is_refused_with_the_star_that_has_ended_since(h: Harness) -> None:
    waiting_chain(h)
    applied = applied_by(h, AddStar(star("d")))
    while h.state("d") is not StarState.SUCCEEDED:
        h.succeed(next(iter(h.machine.attempts.values())).star)
    with pytest.raises(EditRejected, match="star 'd' has succeeded already; its record stays"):
        undo(h, applied)


def test_an_undo_does_not_take_back_what_others_have_edited_since(h: Harness) -> None:
    waiting_chain(h)
    applied = applied_by(h, UpdateStar(star("c", "once")))
    h.edit(UpdateStar(star("c", priority=7)))
    with pytest.raises(EditConflict, match="'c' changed in between"):
        undo(h, applied)
    assert h.graph["c"].priority == 7


def test_an_undo_of_a_star_that_runs_cancels_it(h: Harness) -> None:
    h.join(slots=2)
    h.start(star("a"))
    applied = applied_by(h, AddStar(star("b")))
    h.begun("b")
    undo(h, applied)
    h.stopped("b")
    assert h.error("b").message == "undo"


# --- the same id again ---


def test_a_result_of_a_star_that_was_removed_does_not_count_for_a_new_one_of_its_id(h: Harness) -> None:
    h.join("d0", slots=1)
    h.start(star("a"))
    h.begun("a")
    old = h.attempt("a")
    h.leave("d0")  # which leaves the star ready again, so that it can be removed for good
    h.edit(RemoveStar(StarId("a")), AddStar(star("a", arguments={"n": 2})))
    h.join("d1", slots=1)
    late = ev.AttemptSucceeded(h.now, R, StarId("a"), old.id, old.device, old.epoch, "of the old one")
    h.handle(late)
    assert h.state("a") is StarState.ASSIGNED
    h.succeed("a", "of the new one")
    assert h.outcome("a").output == "of the new one"


def test_a_star_that_is_being_cancelled_keeps_its_id_until_it_has_ended_and_after(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b"))
    h.begun("a")
    with pytest.raises(EditRejected, match="there is a star 'a' already"):
        h.edit(RemoveStar(StarId("a")), AddStar(star("a")))
    h.edit(RemoveStar(StarId("a")))
    h.stopped("a")
    with pytest.raises(EditRejected, match="there is a star 'a' already"):
        h.edit(AddStar(star("a")))


# --- cancelling, wherever a star is ---


def _assigned(h: Harness) -> None:
    h.join()
    h.start(star("s"), star("t"), line("s", "t"))


def _running(h: Harness) -> None:
    _assigned(h)
    h.begun("s")


def _waiting_for_a_retry(h: Harness) -> None:
    h.join()
    h.start(star("s", retry=RetryPolicy(3, 60.0)), star("t"), line("s", "t"))
    h.fail("s")


def _held_by_a_review(h: Harness) -> None:
    h.join()
    h.start(star("first"), star("s"), star("t"), line("first", "s"), line("s", "t"), review=True)
    h.succeed("first")


def _without_its_device(h: Harness) -> None:
    _running(h)
    h.leave()


def _asking(h: Harness) -> None:
    h.start(star("s", work=Approval("ok?")), star("t"), line("s", "t"))


def _paused(h: Harness) -> None:
    h.start(star("s"), star("t"), line("s", "t"))
    h.ask(ev.RunPaused)


PLACES = [_assigned, _running, _waiting_for_a_retry, _held_by_a_review, _without_its_device, _asking, _paused]


@pytest.mark.parametrize("what", ["star", "subtree", "run"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__[1:])
def test_a_star_can_be_cancelled_wherever_it_is(h: Harness, place: Callable[[Harness], None], what: str) -> None:
    place(h)
    h.ask(ev.CancelRequested, None if what == "run" else StarId("s"), what == "subtree", "enough")
    if h.told(cmd.CancelAttempt):
        h.stopped("s")
    assert (h.state("s"), h.error("s").message) == (StarState.CANCELLED, "enough")
    for reviewed in list(h.machine._reviews):
        h.ask(ev.HoldReleased, reviewed)
    assert h.state("t") is (StarState.SKIPPED if what == "star" else StarState.CANCELLED)
    if h.machine.state == "paused":
        h.ask(ev.RunUnpaused)
    h.wait(100)
    assert h.machine.state == ("cancelled" if what == "run" else "succeeded")
    assert not h.scheduler.fleet.waiting
    assert h.scheduler.next_due_at() is None


# --- deadlines and what holds no slot ---


def test_an_approval_that_nobody_answers_is_ended_by_the_deadline_of_its_run(h: Harness) -> None:
    h.start(star("ask", work=Approval("ok?")), deadline_s=5.0)
    h.wait(5)
    assert (h.machine.state, h.state("ask")) == ("failed", StarState.CANCELLED)
    assert h.error("ask").message == "the run took longer than its deadline of 5.0 s"


def test_references_reach_into_the_output_of_a_nested_constellation(h: Harness) -> None:
    inner = TaskConstellation("inner")
    inner.star("end", "t")
    h.join()
    work = ToolCall("t", {"x": {"$ref": "n#/end/rows/1"}})
    h.start(star("n", work=Nested(dump(inner))), star("a", work=work))
    h.succeed("end", {"rows": [1, 2]}, run=RunId("r:n"))
    assert h.told(cmd.Dispatch)[0].arguments == {"x": 2}


# --- priorities ---


def test_a_star_of_higher_priority_that_comes_later_goes_first(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("busy"), star("plain"))
    h.edit(AddStar(star("urgent", priority=5)))
    h.succeed("busy")
    assert (h.state("urgent"), h.state("plain")) == (StarState.ASSIGNED, StarState.READY)


def test_priorities_hold_among_runs_as_well_and_equal_ones_go_by_the_longer_way_then_by_who_came_first(
    h: Harness,
) -> None:
    h.join(slots=1)
    h.start(star("busy"), star("plain"))
    h.start(star("plain"), star("tail"), line("plain", "tail"), run=RunId("longer"))
    h.start(star("plain"), star("urgent", priority=1), run=OTHER)
    order = []
    while any(machine.attempts for machine in h.scheduler.runs.values()):
        (attempt,) = [a for machine in h.scheduler.runs.values() for a in machine.attempts.values()]
        order.append(attempt.id.rpartition("/")[0])
        h.succeed(attempt.star, run=RunId(attempt.id.partition("/")[0]))
    assert order == ["r/busy", "other/urgent", "longer/plain", "r/plain", "other/plain", "longer/tail"]
