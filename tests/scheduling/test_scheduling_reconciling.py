"""What becomes of attempts when a run is taken up again after its devices have spoken."""

from __future__ import annotations

import pytest

from constellation.graph import StarId, StarState, TaskConstellation
from constellation.graph.documents import dump
from constellation.scheduling import DeviceId, JournalEntry, Offer, RunId, RunOptions, Scheduler
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.inputs import DeviceJoined, Tick

from .harness import Harness, R, star
from .snapshots import stored

MEMORY = "d0's own"


@pytest.fixture
def h() -> Harness:
    harness = Harness()
    harness.join(memory=MEMORY)
    return harness


def taken_up_after_its_device_has_spoken(h: Harness) -> None:
    """Another orchestrator has the device before it has the run, and so acknowledges a result that nobody stores."""
    entries = stored(h.entries)
    h.scheduler = Scheduler(no_device_patience_s=10.0, validate=True)
    h.join(known=("r/a/1",), memory=MEMORY)
    h.handle(ev.AttemptSucceeded(h.now, R, ev.StarId("a"), ev.AttemptId("r/a/1"), ev.DeviceId("d0"), 2, "done"))
    h.scheduler.recover(entries)
    h.handle(ev.RunRecovered(h.now, R))


def test_what_may_not_be_repeated_is_asked_for_again_under_the_same_id(h: Harness) -> None:
    h.start(star("a", "once"))
    taken_up_after_its_device_has_spoken(h)
    (again,) = h.told(cmd.Dispatch)
    assert (again.attempt, again.epoch, h.attempt("a").epoch) == ("r/a/1", 2, 2)
    h.report(ev.AttemptRejected, "a", "duplicate", "it ran here, and its result was taken")
    assert (h.state("a"), h.error("a").type) == (StarState.FAILED, "AttemptOutcomeUnknown")
    h.replayed()


def test_an_attempt_that_never_reached_its_device_begins_when_it_is_asked_for_again(h: Harness) -> None:
    h.start(star("a", "once"))
    h.restart()
    h.join(memory=MEMORY)
    assert [command.attempt for command in h.told(cmd.Dispatch)] == ["r/a/1"]
    h.begun("a")
    h.succeed("a", 1)
    assert (h.outcome("a").output, h.outcome("a").attempts) == (1, 1)
    h.replayed()


def test_the_lease_begins_anew_when_an_attempt_is_asked_for_again(h: Harness) -> None:
    h.start(star("a"))
    h.wait(20)
    h.restart()
    h.join(memory=MEMORY)
    h.wait(29)
    assert (h.state("a"), h.attempt("a").id) == (StarState.ASSIGNED, "r/a/1")
    h.wait(2)
    assert h.attempt("a").id == "r/a/2"


def test_what_a_device_had_begun_and_has_no_result_of_is_not_done_again(h: Harness) -> None:
    h.start(star("a", "once"))
    h.begun("a")
    h.restart()
    h.join(memory=MEMORY)
    assert h.error("a").type == "AttemptOutcomeUnknown"


def test_what_a_device_says_that_it_knows_is_never_taken_for_work_that_it_never_began(h: Harness) -> None:
    h.start(star("a", "once"))
    h.restart()
    h.join(known=("r/a/1",), epoch=0, memory=MEMORY)
    assert h.told(cmd.Dispatch) == []
    assert h.error("a").type == "AttemptOutcomeUnknown"


def test_an_attempt_that_is_being_stopped_is_not_sent_again(h: Harness) -> None:
    h.start(star("a"))
    h.ask(ev.CancelRequested, ev.StarId("a"))
    h.restart()
    h.join(memory=MEMORY)
    assert h.told(cmd.Dispatch) == []
    assert h.state("a") is StarState.CANCELLED


def test_the_slot_of_an_attempt_that_a_device_never_speaks_of_is_given_to_others_in_the_end() -> None:
    h = Harness()
    h.join(slots=1)
    h.start(star("a", "once"), star("b", priority=-1))
    h.wait(32)
    assert (h.state("a"), h.state("b"), h.free()) == (StarState.FAILED, StarState.READY, 0)
    h.wait(32)
    assert (h.state("b"), h.on("b")) == (StarState.ASSIGNED, "d0")


def test_nothing_is_placed_between_the_replay_of_a_run_and_its_being_taken_up() -> None:
    graph = TaskConstellation("waiting")
    graph.star("a", "t")
    scheduler = Scheduler(validate=True)
    scheduler.handle(DeviceJoined(1.0, DeviceId("d"), 1, Offer(tools={"t": False})))
    scheduler.recover([JournalEntry(ev.RunStarted(1.0, RunId("r"), dump(graph), RunOptions()))])
    assert scheduler.handle(Tick(2.0)).commands == []
    taken_up = scheduler.handle(ev.RunRecovered(2.0, RunId("r")))
    (given_out,) = [command for command in taken_up.commands if isinstance(command, cmd.Dispatch)]
    scheduler.handle(ev.AttemptStarted(2.1, RunId("r"), StarId("a"), given_out.attempt, DeviceId("d"), 1))
    assert scheduler.handle(Tick(30.0)).commands == []
    assert scheduler.runs[RunId("r")].graph.state("a") is StarState.RUNNING
