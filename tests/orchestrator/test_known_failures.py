"""Ways in which orchestrators of graphs are known to fail, each shown not to happen here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orchestra_tools import add, fail, wait_for

from constellation import (
    AdmissionRefused,
    DeviceLoad,
    EditBatch,
    EditBuilder,
    Orchestrator,
    Review,
    RunFailed,
    StarState,
    TaskConstellation,
    TaskStar,
    ToolCall,
)
from constellation.graph import AddLine, AddStar, RetryPolicy, StarId, TaskStarLine
from constellation.graph.documents import dump, load
from constellation.orchestrator import events as seen
from constellation.scheduling import DeviceId, Offer, RunId, RunOptions, Scheduler
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.inputs import DeviceJoined, Tick

R, D = RunId("r"), DeviceId("d0")


def lines_executed(work: Callable[[], object]) -> int:
    """How many lines of Python it takes to do something: a measure of cost that is the same on every machine."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


# --- cost ---


def _crowd(stars: int) -> Scheduler:
    """A run in which `first` leads to three stars, beside a crowd: half of it waits for a device, half for `gate`."""
    graph = TaskConstellation("crowd")
    first, gate = graph.star("first", "t", priority=2), graph.star("gate", "t", priority=1)
    for number in range(3):
        graph.star(f"next-{number}", "t", after=[first])
    for number in range(stars):
        graph.star(f"crowd-{number}", "t", after=[gate] if number % 2 else ())
    scheduler = Scheduler()
    scheduler.handle(DeviceJoined(1.0, D, 1, Offer(slots=2, tools={"t": True})))
    scheduler.handle(ev.RunStarted(1.0, R, dump(graph), RunOptions()))
    return scheduler


def _cost_of_one_end(stars: int) -> int:
    scheduler = _crowd(stars)
    first = next(iter(scheduler.runs[R].attempts))
    done = ev.AttemptSucceeded(2.0, R, StarId("first"), first, D, 1, None)
    cost = lines_executed(lambda: scheduler.handle(done))
    assert scheduler.runs[R].graph.state("next-0") is StarState.READY
    return cost


def test_what_the_end_of_a_star_costs_does_not_depend_on_the_size_of_the_graph() -> None:
    assert _cost_of_one_end(2_000) <= _cost_of_one_end(40) * 1.05


def _build(stars: int) -> TaskConstellation:
    graph = TaskConstellation("grid")
    for number in range(stars):
        above = [f"s{number - 1}"] if number % 10 else []
        beside = [f"s{number - 10}"] if number >= 10 else []
        graph.star(f"s{number}", "t", after=[*above, *beside])
    return graph


@pytest.mark.parametrize(
    "build", [_build, lambda stars: load(dump(_build(stars)))], ids=["by calls", "from a document"]
)
def test_building_a_graph_costs_the_same_for_each_star_however_many_there_are(
    build: Callable[[int], TaskConstellation],
) -> None:
    small, large = (lines_executed(lambda stars=stars: build(stars)) / stars for stars in (100, 1_500))  # type: ignore[misc]
    assert large <= small * 1.1


# --- failures ---


@pytest.mark.anyio
async def test_a_star_whose_condition_for_success_failed_does_not_keep_the_run_waiting() -> None:
    graph = TaskConstellation("chain")
    broken = graph.star("broken", "fail", message="no luck")
    graph.star("after", "add", a=1, b=2, after=[broken])
    async with Orchestrator.local(devices=1, tools=[add, fail]) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            report = await run.wait()
        after = (await run.graph()).outcome("after")
    assert {row.id: row.state for row in report.rows} == {"broken": "failed", "after": "skipped"}
    assert after is not None
    assert after.error is not None
    assert after.error.message == "waits for the success of 'broken', which failed"


@pytest.mark.anyio
async def test_a_star_that_failed_keeps_its_error_and_the_others_their_results() -> None:
    graph = TaskConstellation("both")
    graph.star("broken", "fail", message="no luck", retry=RetryPolicy(2, 0.0))
    graph.star("whole", "add", a=1, b=2)
    async with Orchestrator.local(devices=1, tools=[add, fail]) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            await run.wait()
        journaled = load(json.loads(json.dumps(dump(await run.graph()))))
    broken, whole = journaled.outcome("broken"), journaled.outcome("whole")
    assert broken is not None
    assert whole is not None
    assert broken.error is not None
    assert (broken.error.type, broken.error.message, broken.attempts) == ("ToolFailed", "no luck", 2)
    assert (whole.output, whole.device) == (3, "device-1")


def test_a_late_result_of_a_try_that_was_given_up_is_not_taken_for_that_of_a_newer_one() -> None:
    scheduler = Scheduler(validate=True)
    for device in ("d0", "d1"):
        scheduler.handle(DeviceJoined(1.0, DeviceId(device), 1, Offer(slots=1, tools={"t": True})))
    graph = TaskConstellation("late")
    graph.star("s", "t", timeout_s=1.0, retry=RetryPolicy(2, 0.0))
    scheduler.handle(ev.RunStarted(1.0, R, dump(graph), RunOptions(timeout_margin_s=0.0, cancel_grace_s=1.0)))
    machine = scheduler.runs[R]
    (old,) = machine.attempts.values()
    star = StarId("s")
    scheduler.handle(ev.AttemptStarted(1.0, R, star, old.id, old.device, 1))
    for at in (2.0, 3.0):  # it is told to stop, does not confirm, and is given up
        scheduler.handle(Tick(at))
    (new,) = machine.attempts.values()
    assert (new.id, new.device) != (old.id, old.device)
    scheduler.handle(ev.AttemptSucceeded(4.0, R, star, old.id, old.device, 1, "late"))
    assert (machine.graph.state("s"), machine.stale) == (StarState.ASSIGNED, 1)
    scheduler.handle(ev.AttemptSucceeded(5.0, R, star, new.id, new.device, 1, "new"))
    outcome = machine.graph.outcome("s")
    assert outcome is not None
    assert (outcome.output, outcome.attempts) == ("new", 2)


class Overtaxed:
    """A policy that can't cope with some work."""

    def choose(self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: object, durations: object) -> DeviceLoad:
        if star.name == "hard":
            raise LookupError("no idea")
        return candidates[0]


@pytest.mark.anyio
async def test_a_placement_policy_that_raises_fails_its_star_and_takes_no_other_run_with_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    other, broken = TaskConstellation("other"), TaskConstellation("broken")
    other.star("last", "add", a=1, b=1, after=[other.star("waiting", "wait_for", path=str(gate))])
    broken.star("hard", "add", a=1, b=1)
    broken.star("easy", "add", a=1, b=2)
    async with Orchestrator.local(devices=1, tools=[add, wait_for], policy=Overtaxed()) as orchestrator:
        going_on = await orchestrator.submit(other)
        with anyio.fail_after(30):
            with pytest.raises(RunFailed, match=r"hard: .*the placement policy Overtaxed raised LookupError: no idea"):
                await (await orchestrator.submit(broken)).result()
            gate.touch()
            assert await going_on.result() == {"last": 2}


# --- documents ---


def test_a_graph_that_went_through_json_under_way_still_holds_back_what_is_blocked() -> None:
    scheduler = _crowd(4)
    machine = scheduler.runs[R]
    first = next(iter(machine.attempts))
    scheduler.handle(ev.AttemptSucceeded(2.0, R, StarId("first"), first, D, 1, None))
    document = json.loads(json.dumps(dump(machine.graph)))
    again = load(document)
    assert {star: again.waiting_for(star) for star in again} == {
        star: machine.graph.waiting_for(star) for star in machine.graph
    }
    document["records"] = {"first": document["records"]["first"]}  # what was going on is begun anew in another run
    other = Scheduler(validate=True)
    other.handle(DeviceJoined(3.0, D, 1, Offer(slots=50, tools={"t": True})))
    step = other.handle(ev.RunStarted(3.0, R, document, RunOptions()))
    begun = {command.star.id for command in step.commands if isinstance(command, cmd.Dispatch)}
    assert begun == {"gate", "next-0", "next-1", "next-2", "crowd-0", "crowd-2"}


# --- edits ---


@pytest.mark.anyio
async def test_an_edit_that_names_an_unknown_device_is_refused_and_everything_else_goes_on(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("going on")
    waiting = graph.star("waiting", "wait_for", path=str(gate))
    graph.star("last", "add", a=1, b=1, after=[waiting])
    async with Orchestrator.local(devices=1, tools=[add, wait_for]) as orchestrator:
        run = await orchestrator.submit(graph)
        edit = (await run.graph()).edit()
        edit.star("far", "add", a=1, b=1, device="atlantis")
        with pytest.raises(AdmissionRefused, match=r"star 'far': needs device 'atlantis'.*device-1 is not 'atlantis'"):
            await run.edit(edit)
        gate.touch()
        with anyio.fail_after(30):
            assert await run.result() == {"last": 2}


def test_a_star_for_a_device_that_is_not_there_waits_for_it_and_holds_nobody_up() -> None:
    scheduler = _crowd(0)
    far = TaskStar(StarId("far"), ToolCall("t"), device="atlantis")
    scheduler.handle(ev.GraphEdited(2.0, R, EditBatch((AddStar(far),))))
    machine = scheduler.runs[R]
    for attempt in list(machine.attempts.values()):
        scheduler.handle(ev.AttemptSucceeded(3.0, R, attempt.star, attempt.id, D, 1, None))
    assert (machine.graph.state("far"), machine.graph.state("next-0")) == (StarState.READY, StarState.ASSIGNED)
    scheduler.handle(DeviceJoined(4.0, DeviceId("atlantis"), 1, Offer(tools={"t": True})))
    assert machine.graph.state("far") is StarState.ASSIGNED


@pytest.mark.anyio
async def test_while_one_edit_is_being_thought_about_all_other_stars_are_dispatched(tmp_path: Path) -> None:
    """The planner thinks about one star until a chain beside it has ended: with a lock, that would be for ever."""
    chain_ended = anyio.Event()

    async def planner(review: Review) -> EditBuilder | None:
        if review.star.id == "beside-9":
            chain_ended.set()
        if review.star.id != "thought-about":
            return None
        await chain_ended.wait()
        edit = review.edit("done thinking")
        edit.star("added", "add", a=20, b=1, after=["thought-about"])
        return edit

    graph = TaskConstellation("two regions")
    graph.star("thought-about", "add", a=1, b=1)
    graph.star("held", "add", a=1, b=1, after=["thought-about"])
    before: list[str] = []
    for number in range(10):
        graph.star(f"beside-{number}", "add", a=number, b=0, after=before)
        before = [f"beside-{number}"]
    async with Orchestrator.local(devices=1, slots=1, tools=[add], planner=planner) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            order = [event.star async for event in run.events() if isinstance(event, seen.StarSettled)]
        assert await run.result() == {"held": 2, "added": 21, "beside-9": 9}
    assert order.index("held") > order.index("beside-9")


def test_an_edit_costs_what_it_touches_and_not_the_graph() -> None:
    def cost(stars: int) -> int:
        scheduler = _crowd(stars)
        line = AddLine(TaskStarLine(StarId("next-0"), StarId("new")))
        batch = EditBatch((AddStar(TaskStar(StarId("new"), ToolCall("t"))), line))
        return lines_executed(lambda: scheduler.handle(ev.GraphEdited(2.0, R, batch)))

    assert cost(2_000) <= cost(40) * 1.05
