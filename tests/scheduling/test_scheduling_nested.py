"""Runs inside runs, and orchestrators that take over from one another."""

from __future__ import annotations

from typing import Any

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    Nested,
    Prompt,
    RemoveStar,
    StarState,
    TaskConstellation,
    TaskStarLine,
    ToolCall,
)
from constellation.graph.documents import dump
from constellation.scheduling import DeviceId, Offer, RunEnded, RunId, Scheduler, UnknownRun
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.events import nested_id
from constellation.scheduling.inputs import DeviceJoined

from .harness import Harness, R, star

CHILD = RunId("r:n")


def nested(*stars: str, arguments: dict[str, Any] | None = None, **inner: Any) -> Nested:
    graph = TaskConstellation("inner")
    for name in stars:
        graph.star(name, "t", **inner)
    return Nested(dump(graph), arguments or {})


def line(source: str, target: str) -> TaskStarLine:
    return TaskStarLine(source, target)  # type: ignore[arg-type]


def test_a_nested_run_gets_inputs_and_gives_the_outputs_of_its_last_stars(h: Harness) -> None:
    h.join()
    inner = TaskConstellation("inner")
    first = inner.star("first", "t", arguments={"x": {"$input": "/size"}, "y": [{"$input": ""}]})
    inner.star("last", "t", after=[first])
    h.start(star("a"), star("n", work=Nested(dump(inner), {"size": {"$ref": "a#/n"}})), star("b"), line("n", "b"))
    h.succeed("a", {"n": 4})
    (dispatch,) = h.told(cmd.Dispatch)
    assert (dispatch.run, dispatch.arguments) == (CHILD, {"x": 4, "y": [{"size": 4}]})
    h.succeed("first", run=CHILD)
    h.succeed("last", 9, run=CHILD)
    assert h.outcome("n").output == {"last": 9}
    assert h.on("b") == "d0"


def test_a_nested_run_that_fails_fails_its_star_with_the_causes(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")))
    h.fail("x", run=CHILD)
    assert h.error("n").type == "NestedFailed"
    assert h.error("n").message == "the nested run has failed: x: it broke"
    assert h.error("n").details == {"stars": {"x": "it broke"}}


def test_an_empty_nested_run_succeeds_at_once(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested()), star("a"))
    assert h.states() == {"n": "succeeded", "a": "assigned"}


@pytest.mark.parametrize(
    ("work", "type"),
    [
        (Nested({"name": "bad", "stars": {"x": {"work": {"tool": "t"}, "colour": 1}}}), "InvalidDocument"),
        (nested("x", arguments={}, x={"$input": "/no"}), "ReferenceFault"),
        (nested("x", arguments={"no": 1}, x={"$input": "no"}), "ReferenceFault"),
        (nested("x", arguments={"~2": 1}, x={"$input": "/~2"}), "ReferenceFault"),
        (nested("x", arguments={}, x={"$input": 3}), "ReferenceFault"),
    ],
)
def test_a_nested_constellation_that_cannot_be_run_fails_its_star_and_nothing_else(
    h: Harness, work: Nested, type: str
) -> None:
    h.join()
    h.start(star("a"), star("b"), line("a", "b"))
    h.edit(AddStar(star("n", work=work)), AddLine(line("a", "n")))
    h.succeed("a", 1)
    assert h.states() == {"a": "succeeded", "b": "assigned", "n": "failed"}
    assert h.error("n").type == type
    assert ev.AttemptSucceeded in {entry.event.__class__ for entry in h.entries}


@pytest.mark.parametrize("output", [{"$ref": "secret#"}, [{"properties": {"k": {"$ref": "#/definitions/k"}}}]])
def test_what_is_given_to_a_nested_run_is_data_and_refers_to_nothing_in_it(h: Harness, output: Any) -> None:
    h.join()
    inner = TaskConstellation("inner")
    inner.star("secret", "t")
    inner.star("x", "t", arguments={"found": {"$input": "/found"}})
    h.start(star("a"), star("n", work=Nested(dump(inner), {"found": {"$ref": "a#"}})))
    h.succeed("a", output)
    assert h.state("n") is StarState.FAILED
    assert h.error("n").type == "ReferenceFault"
    assert h.error("n").message.startswith("the input '/found' holds an object with the key '$ref'")


def test_an_input_may_hold_a_schema_where_no_reference_is_looked_for(h: Harness) -> None:
    h.join(tools={"prompt": True, "t": True})
    schema = {"$ref": "#/$defs/k", "$defs": {"k": {"type": "string"}}}
    inner = TaskConstellation("inner")
    inner.star("x", Prompt("say", output={"$input": "/schema"}))
    h.start(star("a"), star("n", work=Nested(dump(inner), {"schema": {"$ref": "a#"}})))
    h.succeed("a", schema)
    (dispatch,) = h.told(cmd.Dispatch)
    assert dispatch.star.work == Prompt("say", output=schema)


def test_cancelling_a_nested_star_cancels_its_run(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")))
    h.begun("x", run=CHILD)
    h.ask(ev.CancelRequested, "n")
    assert (h.state("n"), len(h.told(cmd.CancelAttempt))) == (StarState.CANCELLED, 1)
    h.wait(10)
    assert h.scheduler.runs[CHILD].state == "cancelled"


def test_a_nested_run_that_is_being_cancelled_already_is_not_cancelled_again(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")))
    h.handle(ev.CancelRequested(h.now, CHILD))
    h.ask(ev.CancelRequested)
    assert h.machine.state == "cancelled"


def test_a_nested_star_that_takes_too_long_fails_and_its_run_is_cancelled(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x"), timeout_s=5.0), star("a"))
    h.wait(6)
    assert h.error("n").message == "it took longer than 5.0 s"
    h.wait(11)
    assert h.scheduler.runs[CHILD].state == "cancelled"
    assert h.state("n") is StarState.FAILED
    stale = h.machine.stale
    h.handle(ev.NestedEnded(h.now, R, "n"))  # type: ignore[arg-type]
    assert h.machine.stale == stale + 1


def test_a_pause_holds_for_the_runs_inside_as_well(h: Harness) -> None:
    h.join(slots=1)
    inner = dump(TaskConstellation("deep"))
    h.start(star("n", work=nested("x", "y")), star("m", work=Nested(inner)))
    h.ask(ev.RunPaused)
    h.succeed("x", run=CHILD)
    assert (h.scheduler.runs[CHILD].state, h.told(cmd.Dispatch)) == ("paused", [])
    h.ask(ev.RunUnpaused)
    assert h.told(cmd.Dispatch)[0].star.id == "y"


def test_no_two_stars_share_a_nested_run_and_its_id_fits_into_an_attempt() -> None:
    run, of = RunId("r"), nested_id
    assert of(run, "a") == "r:a"  # type: ignore[arg-type]
    assert of(of(run, "a"), "b") != of(run, "a:b")  # type: ignore[arg-type]
    deep = run
    for _ in range(9):
        deep = of(deep, "x" * 128)  # type: ignore[arg-type]
    assert len(ev.attempt_id(deep, "y" * 128, 99999)) <= 200  # type: ignore[arg-type]


# --- taking over ---


def test_a_run_goes_on_after_a_restart_where_it_was(h: Harness) -> None:
    h.join(slots=3)
    h.start(star("a"), star("b"), star("c"), star("d"), line("a", "c"))
    h.succeed("a", 1)
    h.begun("b")
    h.restart()
    assert h.states() == {"a": "succeeded", "b": "running", "c": "assigned", "d": "assigned"}
    h.join(known=("r/b/1", "r/a/1", "r/c/1"), slots=3)
    assert [h.attempt(name).id for name in "bcd"] == ["r/b/1", "r/c/1", "r/d/2"]
    assert [told.attempt for told in h.told(cmd.CancelAttempt)] == ["r/a/1"]


def test_attempts_of_a_device_that_does_not_come_back_are_lost(h: Harness) -> None:
    h.join("d0")
    h.start(star("a", "once"), star("b"))
    h.restart()
    h.join("d1")
    assert not h.wait(14)
    h.wait(2)
    assert h.error("a").type == "AttemptOutcomeUnknown"
    assert "did not come back after the orchestrator's restart" in h.error("a").message
    assert h.on("b") == "d1"


def test_a_person_may_decide_that_what_was_going_on_is_run_again(h: Harness) -> None:
    h.join("d0")
    h.start(star("a", "once"))
    h.restart(rerun=True)
    h.join("d1")
    h.wait(16)
    assert h.on("a") == "d1"


def test_a_result_that_was_not_journaled_comes_again_and_counts_once(h: Harness) -> None:
    h.join()
    h.start(star("a", "once"))
    h.begun("a")
    h.succeed("a", 1)
    h.restart(lost=1)
    assert h.state("a") is StarState.RUNNING
    h.join(known=("r/a/1",))
    h.succeed("a", 1)
    assert h.outcome("a").attempts == 1


def test_an_assignment_that_was_not_journaled_was_not_sent(h: Harness) -> None:
    h.join()
    h.start(star("a", "once"))
    h.restart(lost=1)
    h.join()
    assert h.attempt("a").id == "r/a/1"


def test_an_attempt_that_is_overdue_after_a_restart_may_bring_its_result_first(h: Harness) -> None:
    h.join()
    h.start(star("a", "once", timeout_s=5.0), star("b", timeout_s=500.0))
    h.begun("a")
    h.begun("b")
    h.now += 1000
    h.restart()
    h.wait(10)
    h.join(known=("r/a/1", "r/b/1"))
    h.wait(4)
    h.succeed("a", 1)
    assert h.state("a") is StarState.SUCCEEDED
    h.wait(2)
    assert h.told(cmd.CancelAttempt)[0].star == "b"


def test_a_device_that_was_here_before_the_run_is_held_against_it(h: Harness) -> None:
    h.join(slots=3)
    h.start(star("a"), star("b"), star("c"))
    h.succeed("c")
    entries = list(h.entries)
    h.scheduler = Scheduler(validate=True)
    h.join(known=("r/a/1", "r/c/1"))
    h.scheduler.recover(entries)
    h.ask(ev.RunRecovered)
    assert (h.attempt("a").id, h.attempt("a").epoch, h.attempt("b").id) == ("r/a/1", 2, "r/b/2")
    assert [told.attempt for told in h.told(cmd.CancelAttempt)] == ["r/c/1"]


def test_a_report_to_an_orchestrator_without_the_run_is_not_waited_for_later(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.begun("a")
    entries = list(h.entries)
    h.scheduler = Scheduler(validate=True)
    h.join(known=("r/a/1",))
    h.handle(ev.AttemptSucceeded(h.now, R, "a", "r/a/1", "d0", 2, 1))  # type: ignore[arg-type]
    h.scheduler.recover(entries)
    h.ask(ev.RunRecovered)
    assert h.attempt("a").id == "r/a/2"


@pytest.mark.parametrize(("begun", "state"), [(True, StarState.FAILED), (False, StarState.ASSIGNED)])
def test_what_a_device_has_begun_with_and_knows_no_more_is_not_taken_for_never_begun(
    h: Harness, begun: bool, state: StarState
) -> None:
    """The result went to an orchestrator that did not have the run, so the device has forgotten it in good faith."""
    offer = Offer(tools={"once": False})
    h.handle(DeviceJoined(h.now, DeviceId("d0"), 1, offer, memory="m"))
    h.start(star("a", "once"))
    if begun:
        h.begun("a")
    h.restart()
    h.handle(DeviceJoined(h.now, DeviceId("d0"), 2, offer, memory="m"))
    assert h.state("a") is state
    if begun:
        assert h.error("a").type == "AttemptOutcomeUnknown"


def test_an_attempt_of_a_later_session_than_the_present_one_is_lost(h: Harness) -> None:
    h.join(epoch=7)
    h.start(star("a"))
    entries = list(h.entries)
    h.scheduler = Scheduler(validate=True)
    h.join(known=("r/a/1",), epoch=3)
    h.scheduler.recover(entries)
    h.ask(ev.RunRecovered)
    assert (h.attempt("a").id, h.attempt("a").epoch) == ("r/a/2", 3)


def test_timers_and_delays_go_on_after_a_restart(h: Harness) -> None:
    h.join()
    h.start(star("a", work=Approval("ok?"), timeout_s=50.0), star("b"), star("c"), line("b", "c"))
    h.ask(ev.CancelRequested, "b")
    h.restart()
    h.wait(11)
    assert h.states() == {"a": "running", "b": "cancelled", "c": "skipped"}
    h.wait(40)
    assert h.error("a").type == "ApprovalTimedOut"


def test_a_paused_run_is_paused_after_a_restart(h: Harness) -> None:
    h.start(star("a"), star("b", work=Approval("ok?")))
    h.ask(ev.RunPaused)
    h.restart()
    h.join()
    assert (h.machine.state, h.told(cmd.Dispatch)) == ("paused", [])


def test_parent_and_nested_run_go_on_after_a_restart(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")))
    h.restart()
    h.join(known=("r:n/x/1",))
    h.succeed("x", 3, run=CHILD)
    assert h.outcome("n").output == {"x": 3}


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_whatever_was_lost_between_parent_and_nested_run_is_made_good(h: Harness, lost: int) -> None:
    h.join()
    h.start(star("a"), star("n", work=nested("x", idempotent=True)), line("a", "n"))
    h.succeed("a")
    h.succeed("x", 3, run=CHILD)
    assert h.machine.state == "succeeded"
    h.restart(lost=lost)
    h.join()
    if not h.machine.ended:
        if h.state("n") is not StarState.RUNNING:
            h.succeed("a")
        h.succeed("x", 3, run=CHILD)
    assert h.outcome("n").output == {"x": 3}


def test_a_nested_run_whose_star_was_cancelled_meanwhile_is_cancelled(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")), star("a"))
    h.ask(ev.CancelRequested, "n")
    h.restart(lost=1)
    assert h.scheduler.runs[CHILD].closing


def test_a_nested_run_whose_parent_was_paused_meanwhile_is_paused(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x")), star("a"))
    h.ask(ev.RunPaused)
    h.restart(lost=1)
    assert h.scheduler.runs[CHILD].state == "paused"


def test_a_nested_run_without_its_parent_is_cancelled(h: Harness) -> None:
    h.join()
    h.start(star("n", work=nested("x", device="elsewhere")))
    child = [entry for entry in h.entries if entry.event.run == CHILD]
    h.scheduler = Scheduler(validate=True)
    h.scheduler.recover(child)
    h.handle(ev.RunRecovered(h.now, CHILD))
    assert h.scheduler.runs[CHILD].state == "cancelled"


def test_a_run_that_has_ended_is_not_taken_up_again(h: Harness) -> None:
    h.start()
    h.restart()
    h.ask(ev.RunRecovered)
    assert h.machine.stale == 1
    with pytest.raises(RunEnded, match="has succeeded already"):
        h.edit(RemoveStar("a"))  # type: ignore[arg-type]


def test_a_journal_that_does_not_begin_with_the_start_is_refused(h: Harness) -> None:
    h.start(star("a"))
    h.ask(ev.RunPaused)
    for entries in ([], h.entries[1:]):
        with pytest.raises(UnknownRun):
            Scheduler().recover(entries)


def test_a_tool_call_is_not_confused_with_a_nested_input(h: Harness) -> None:
    h.join()
    h.start(star("a", work=ToolCall("t", {"$input": "/x"})))
    assert h.told(cmd.Dispatch)[0].arguments == {"$input": "/x"}
