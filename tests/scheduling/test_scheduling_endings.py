"""The end of a run is told when all that is nested in it has ended."""

from __future__ import annotations

import pytest

from constellation.graph import Nested, StarState, TaskConstellation
from constellation.graph.documents import dump
from constellation.scheduling import RunId
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev

from .harness import Harness, R, star

CHILD, DEEPEST = RunId("r:n"), RunId("r:n:m")


def told(h: Harness) -> list[str]:
    return [command.run for command in h.told(cmd.RunSettled)]


def nested_in(h: Harness, work: Nested) -> None:
    """Start a run of which all is cancelled while what is nested in it has its device stop."""
    h.join()
    h.start(star("n", work=work))


def one_deep() -> Nested:
    inner = TaskConstellation("inner")
    inner.star("x", "t")
    return Nested(dump(inner))


def two_deep() -> Nested:
    middle = TaskConstellation("middle")
    middle.star("m", one_deep())
    return Nested(dump(middle))


def test_a_cancelled_run_has_ended_at_once_and_says_so_when_what_is_nested_in_it_has_stopped(h: Harness) -> None:
    nested_in(h, one_deep())
    h.begun("x", run=CHILD)
    h.ask(ev.CancelRequested)
    assert (h.machine.state, told(h), h.scheduler.waits_for_nested(R)) == ("cancelled", [], True)
    h.report(ev.AttemptCancelled, "x", run=CHILD)
    assert (told(h), h.scheduler.waits_for_nested(R)) == ([CHILD, R], False)


def test_the_ends_of_runs_in_runs_are_told_innermost_first(h: Harness) -> None:
    nested_in(h, two_deep())
    h.begun("x", run=DEEPEST)
    h.ask(ev.CancelRequested)
    assert told(h) == []
    h.wait(20)
    assert told(h) == [DEEPEST, CHILD, R]


def test_a_run_that_was_forgotten_is_told_no_end_of(h: Harness) -> None:
    nested_in(h, one_deep())
    h.begun("x", run=CHILD)
    h.ask(ev.CancelRequested)
    h.scheduler.drop(R)
    h.report(ev.AttemptCancelled, "x", run=CHILD)
    assert told(h) == [CHILD]


@pytest.mark.parametrize("deep", [1, 2])
def test_after_a_restart_what_was_nested_in_a_run_that_has_ended_is_brought_to_its_end(h: Harness, deep: int) -> None:
    nested_in(h, one_deep() if deep == 1 else two_deep())
    innermost = CHILD if deep == 1 else DEEPEST
    h.begun("x", run=innermost)
    h.ask(ev.CancelRequested)
    h.restart()
    assert (h.machine.state, h.scheduler.runs[innermost].ended) == ("cancelled", False)
    assert h.scheduler.waits_for_nested(R)
    h.wait(20)
    assert told(h) == ([CHILD, R] if deep == 1 else [DEEPEST, CHILD, R])
    (settled,) = [command for command in h.told(cmd.RunSettled) if command.run == R]
    assert settled.error is not None
    assert settled.error.type == "Cancelled"


def test_what_never_heard_of_its_cancel_before_a_restart_is_cancelled_then(h: Harness) -> None:
    nested_in(h, one_deep())
    h.begun("x", run=CHILD)
    h.ask(ev.CancelRequested)
    h.restart(lost=1)  # what reached the nested run is not in the journal
    assert h.scheduler.runs[CHILD].closing
    h.wait(20)
    assert (told(h), h.scheduler.runs[CHILD].graph.state("x")) == ([CHILD, R], StarState.CANCELLED)
