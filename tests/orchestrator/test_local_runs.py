"""Runs on devices in this process: what comes out of them, what observers see, and how their course is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import anyio.lowlevel
from orchestra_tools import (
    add,
    block,
    chatter,
    count_lines,
    fail,
    fail_until,
    record_and_wait,
    total,
    wait_for,
    write_artifact,
)

from constellation import (
    AdmissionRefused,
    Approval,
    DeviceSpec,
    EditBatch,
    EditRejected,
    Orchestrator,
    RetryPolicy,
    Review,
    RunFailed,
    RunOptions,
    StarState,
    TaskConstellation,
)
from constellation.journal import SequenceConflict
from constellation.orchestrator import events as seen
from constellation.orchestrator import run_book
from constellation.orchestrator.events import Event, event_from_json
from constellation.orchestrator.run import LocalRun
from constellation.scheduling import RunEnded

pytestmark = pytest.mark.anyio


async def watch(run: LocalRun) -> list[Event]:
    with anyio.fail_after(30):
        return [event async for event in run.events()]


def settled(events: list[Event]) -> dict[str, seen.StarSettled]:
    return {event.star: event for event in events if isinstance(event, seen.StarSettled)}


async def test_outputs_flow_along_references_to_the_result() -> None:
    graph = TaskConstellation("sums")
    parts = [graph.star(f"part {number}", add, a=number, b=1) for number in range(5)]
    end = graph.star("total", total, numbers=[part.output for part in parts])
    graph.star("again", add, a=end.output["sum"], b=end.output["count"])
    async with Orchestrator.local(devices=2) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            assert await run.result() == {"again": 20}
    assert graph.state("total") is StarState.PENDING  # what was submitted is not touched by the run


async def test_events_are_numbered_without_gaps_survive_json_and_end_with_the_end() -> None:
    graph = TaskConstellation("one")
    graph.star("sum", add, a=1, b=2)
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        events = await watch(run)
        again = await watch(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert again == events  # whoever comes late sees the same
    assert [event_from_json(event.as_json()) for event in events] == events
    kinds = [event.event for event in events]
    assert kinds[0] == "run_started"
    assert kinds[-4:] == ["star_assigned", "star_started", "star_settled", "run_finished"]
    last = events[-1].as_json()
    assert (last["state"], last["stars"], last["width"], last["report"]) == ("succeeded", {"succeeded": 1}, 1, None)


async def test_a_failed_run_names_the_failed_stars_the_causes_and_what_was_skipped() -> None:
    graph = TaskConstellation("broken")
    broken = graph.star("broken", fail, message="the disk is full")
    graph.star("after", add, a=broken.output, b=1)
    graph.star("beside", add, a=1, b=1)
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        with pytest.raises(RunFailed) as failure, anyio.fail_after(30):
            await run.result()
    assert failure.value.failed == {"broken": "ToolFailed: the disk is full"}
    assert failure.value.skipped == ("after",)
    assert "broken" in str(failure.value)
    assert "the disk is full" in str(failure.value)


async def test_a_failure_that_was_foreseen_does_not_fail_the_run() -> None:
    graph = TaskConstellation("foreseen")
    first = graph.star("first", fail)
    graph.line(first, graph.star("rescue", add, a=1, b=1), "failure")
    graph.star("normal way", add, a=first.output, b=1)
    graph.line(first, graph.star("always", add, a=2, b=2), "completion")
    async with Orchestrator.local(devices=1) as orchestrator:
        with anyio.fail_after(30):
            assert await (await orchestrator.submit(graph)).result() == {"rescue": 2, "always": 4}


async def test_conditions_choose_the_way() -> None:
    graph = TaskConstellation("branches")
    source = graph.star("source", total, numbers=[1, 2, 3])
    graph.line(source, graph.star("large", add, a=1, b=0), when="output.sum > 5 && output.count == 3")
    graph.line(source, graph.star("small", add, a=0, b=0), when="output.sum <= 5")
    graph.line(source, graph.star("odd", add, a=0, b=0), when="output.nothing == 1")
    async with Orchestrator.local(devices=1) as orchestrator:
        events = settled(await watch(await orchestrator.submit(graph)))
    assert events["large"].state == "succeeded"
    assert events["small"].state == "skipped"
    assert events["odd"].state == "failed"
    assert events["odd"].error is not None
    assert events["odd"].error["type"] == "ConditionError"


async def test_what_fails_is_tried_again_as_its_policy_has_it(tmp_path: Path) -> None:
    graph = TaskConstellation("stubborn")
    retry = RetryPolicy(max_attempts=3, backoff_s=0.01)
    graph.star("stubborn", fail_until, path=str(tmp_path / "tries"), times=2, retry=retry)
    async with Orchestrator.local(devices=1) as orchestrator:
        events = await watch(await orchestrator.submit(graph))
    assert [event.event for event in events].count("star_retrying") == 2
    assert settled(events)["stubborn"].output == 3
    assert settled(events)["stubborn"].attempts == 3


async def test_work_that_takes_too_long_is_stopped_and_fails(tmp_path: Path) -> None:
    graph = TaskConstellation("slow")
    graph.star("slow", wait_for, path=str(tmp_path / "never"), timeout_s=0.2)
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        with pytest.raises(RunFailed, match=r"did not finish within 0\.2 s"), anyio.fail_after(30):
            await run.result()


async def test_cancelling_a_run_stops_what_runs_and_skips_nothing_silently(tmp_path: Path) -> None:
    graph = TaskConstellation("cancelled")
    slow = graph.star("slow", wait_for, path=str(tmp_path / "never"))
    graph.star("after", add, a=1, b=1, after=[slow])
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        async for event in run.events():
            if isinstance(event, seen.StarStarted):
                await run.cancel(reason="changed my mind")
        report = await run.wait()
        assert (report.state, report.stars) == ("cancelled", {"cancelled": 2})
        with pytest.raises(RunFailed, match="changed my mind"):
            report.raise_for_state()
        with pytest.raises(RunEnded):
            await run.cancel()


async def test_a_pause_holds_back_what_has_not_begun(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("paused")
    first = graph.star("first", wait_for, path=str(gate))
    graph.star("second", add, a=1, b=1, after=[first])
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        events = []
        with anyio.fail_after(30):
            async for event in run.events():
                events.append(event.event)
                if event.event == "star_started" and "run_paused" not in events:
                    await run.pause()
                    gate.touch()
                if event.event == "star_settled" and "run_unpaused" not in events:
                    assert "star_assigned" not in events[events.index("run_paused") :]
                    await run.unpause()
    assert events.index("run_unpaused") < len(events) - 1 - events[::-1].index("star_assigned")


async def test_a_running_graph_can_be_edited_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("edited")
    first = graph.star("first", wait_for, path=str(gate))
    last = graph.star("last", add, a=1, b=1, after=[first])
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        async for event in run.events():
            if isinstance(event, seen.StarStarted) and event.star == "first":
                view = await run.graph()
                edit = view.edit(author="me", reason="one more")
                more = edit.star("more", "add", a=5, b=5, after=[first])
                edit.line(more, last)
                await run.edit(edit)
                view = await run.graph()
                wrong = view.edit()
                wrong.line(last, first)
                with pytest.raises(EditRejected, match="has been dispatched"):
                    await run.edit(wrong)
                gate.touch()
        report = await run.wait()
    assert report.stars == {"succeeded": 3}
    assert [row.id for row in report.rows] == ["first", "more", "last"]


async def test_a_planner_sees_each_star_and_what_it_adds_runs_before_the_descendants() -> None:
    graph = TaskConstellation("planned")
    scan = graph.star("scan", total, numbers=[3, 4])
    graph.star("merge", add, a=scan.output["sum"], b=0)
    reviewed: list[tuple[str, str]] = []

    async def planner(review: Review) -> Any:
        reviewed.append((review.star.id, review.state.value))
        if review.star.id != "scan":
            return None
        await anyio.lowlevel.checkpoint()
        assert review.graph.state("merge") is StarState.PENDING
        edit = review.edit("a closer look")
        look = edit.star("closer look", "add", a=scan.output["count"], b=100)
        edit.line(look, "merge")
        return edit

    async with Orchestrator.local(devices=2, planner=planner) as orchestrator:
        events = await watch(await orchestrator.submit(graph))
    order = [event.star for event in events if isinstance(event, seen.StarSettled)]
    assert order == ["scan", "closer-look", "merge"]
    assert reviewed == [("scan", "succeeded"), ("closer-look", "succeeded"), ("merge", "succeeded")]
    edited = next(event for event in events if isinstance(event, seen.GraphEdited))
    assert (edited.author, edited.reason, edited.added) == ("planner", "a closer look", ("closer-look",))


@pytest.mark.parametrize("fault", ["raises", "answers nonsense", "breaks a rule"])
async def test_a_planner_that_errs_changes_nothing_and_holds_nothing_up(fault: str) -> None:
    def planner(review: Review) -> Any:
        if fault == "raises":
            raise ZeroDivisionError("planner is broken")
        if fault == "answers nonsense":
            return "add more stars"
        edit = review.edit()
        edit.line("b", "a")
        return edit

    graph = TaskConstellation("erring")
    first = graph.star("a", add, a=1, b=1)
    graph.star("b", add, a=first.output, b=1)
    async with Orchestrator.local(devices=1, planner=planner) as orchestrator:
        run = await orchestrator.submit(graph)
        events = await watch(run)
        assert await run.result() == {"b": 3}
    assert any(isinstance(event, seen.EditRefused) for event in events)


async def test_a_planner_may_return_a_batch_made_by_hand() -> None:
    graph = TaskConstellation("by hand")
    graph.star("a", add, a=1, b=1)

    def planner(review: Review) -> EditBatch:
        edit = review.edit()
        if "b" not in review.graph:
            edit.star("b", "add", a=2, b=2)
        return edit.build()

    async with Orchestrator.local(devices=1, planner=planner) as orchestrator:
        with anyio.fail_after(30):
            assert await (await orchestrator.submit(graph)).result() == {"a": 2, "b": 4}


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_waits_for_its_answer_without_holding_a_slot(approved: bool) -> None:
    graph = TaskConstellation("gated")
    measured = graph.star("measure", add, a=20, b=22)
    gate = graph.star("gate", Approval("Ship it?"), measured=measured.output)
    graph.star("ship", add, a=1, b=1, after=[gate])
    async with Orchestrator.local(devices=[DeviceSpec("only", slots=1)]) as orchestrator:
        run = await orchestrator.submit(graph)
        with anyio.fail_after(30):
            async for event in run.events():
                if isinstance(event, seen.ApprovalRequested):
                    assert (event.question, event.arguments) == ("Ship it?", {"measured": 42})
                    assert [device.busy for device in await orchestrator.devices()] == [0]
                    await run.approve("gate", approved, by="eve", comment="looks right")
        report = await run.wait()
    assert report.stars == ({"succeeded": 3} if approved else {"succeeded": 1, "failed": 1, "skipped": 1})


async def test_a_constellation_runs_inside_another() -> None:
    inner = TaskConstellation("inner")
    inner.star("double", add, a={"$input": "/value"}, b={"$input": "/value"})
    outer = TaskConstellation("outer")
    first = outer.star("first", add, a=2, b=3)
    nested = outer.star("nested", inner, value=first.output)
    outer.star("last", add, a=nested.output["double"], b=1)
    async with Orchestrator.local(devices=1) as orchestrator:
        with anyio.fail_after(30):
            assert await (await orchestrator.submit(outer)).result() == {"last": 11}


async def test_files_travel_between_devices() -> None:
    graph = TaskConstellation("files")
    made = graph.star("make", write_artifact, lines=1000, device="one")
    graph.star("count", count_lines, file=made.output, device="two")
    async with Orchestrator.local(devices=[DeviceSpec("one"), DeviceSpec("two")]) as orchestrator:
        events = await watch(await orchestrator.submit(graph))
    ended = settled(events)
    assert ended["make"].output["size"] == 3890
    assert (ended["make"].device, ended["count"].device) == ("one", "two")
    assert ended["count"].output == 1000


async def test_progress_reaches_observers_in_order() -> None:
    graph = TaskConstellation("chatty")
    graph.star("chatter", chatter, lines=20)
    async with Orchestrator.local(devices=1) as orchestrator:
        events = await watch(await orchestrator.submit(graph))
    lines = [event.text for event in events if isinstance(event, seen.StarProgress) and event.text]
    assert "\n".join(lines).splitlines() == [f"line {number}" for number in range(20)]


async def test_stars_go_where_their_requirements_lead() -> None:
    graph = TaskConstellation("picky")
    graph.star("on gpu", add, a=1, b=1, requires={"gpu": 1})
    graph.star("in shed", add, a=1, b=1, requires={"room": "shed"})
    devices = [
        DeviceSpec("plain"),
        DeviceSpec("gpu-host", resources={"gpu": 2}),
        DeviceSpec("shed-host", labels={"room": "shed"}),
    ]
    async with Orchestrator.local(devices=devices) as orchestrator:
        ended = settled(await watch(await orchestrator.submit(graph)))
    assert ended["on-gpu"].device == "gpu-host"
    assert ended["in-shed"].device == "shed-host"


async def test_a_deadline_ends_a_run(tmp_path: Path) -> None:
    graph = TaskConstellation("late")
    graph.star("slow", wait_for, path=str(tmp_path / "never"))
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph, options=RunOptions(deadline_s=0.2))
        with pytest.raises(RunFailed, match=r"deadline of 0\.2 s"), anyio.fail_after(30):
            await run.result()


async def test_a_star_whose_device_is_gone_fails_with_what_the_others_lack(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("lonely")
    first = graph.star("first", wait_for, path=str(gate), device="cellar")
    graph.star("second", wait_for, path=str(gate), after=[first], requires={"room": "attic"})
    devices = [DeviceSpec("cellar"), DeviceSpec("attic", labels={"room": "attic"})]
    async with Orchestrator.local(devices=devices, no_device_patience_s=0.2) as orchestrator:
        run = await orchestrator.submit(graph)
        attic = next(device for device in orchestrator._book.offering._devices if device.name == "attic")
        await attic.aclose()
        with anyio.fail_after(30):
            async for event in run.events():
                if event.event == "device_left":
                    gate.touch()
        report = await run.wait()
    assert report.devices_lost == ("attic",)
    with pytest.raises(RunFailed, match=r"second: NoDevice: needs .*room 'attic'.*cellar has no label 'room'"):
        report.raise_for_state()


async def test_a_blocked_thread_of_a_local_device_does_not_hold_up_a_cancel(tmp_path: Path) -> None:
    started = tmp_path / "started"
    graph = TaskConstellation("blocked")
    graph.star("block", block, started=str(started), seconds=2)
    options = RunOptions(cancel_grace_s=0.5)
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph, options=options)
        with anyio.fail_after(10):
            async for event in run.events():
                if isinstance(event, seen.StarStarted):
                    await run.cancel()
        assert (await run.wait()).stars == {"cancelled": 1}


async def test_errors_inside_the_orchestrator_context_come_out_as_themselves() -> None:
    with pytest.raises(KeyError):
        async with Orchestrator.local(devices=1):
            raise KeyError("mine")


async def test_many_runs_share_the_devices() -> None:
    def numbered(number: int) -> TaskConstellation:
        graph = TaskConstellation(f"run {number}")
        stars = [graph.star(f"s{part}", add, a=number, b=part) for part in range(10)]
        graph.star("sum", total, numbers=[star.output for star in stars])
        return graph

    async with Orchestrator.local(devices=3) as orchestrator:
        runs = [await orchestrator.submit(numbered(number)) for number in range(8)]
        with anyio.fail_after(30):
            results = [await run.result() for run in runs]
    assert [result["sum"]["sum"] for result in results] == [10 * number + 45 for number in range(8)]


async def test_one_effect_per_star_when_nothing_goes_wrong(tmp_path: Path) -> None:
    gate, log = tmp_path / "gate", tmp_path / "log"
    gate.touch()
    graph = TaskConstellation("effects")
    for number in range(30):
        graph.star(f"e{number}", record_and_wait, log=str(log), line=str(number), gate=str(gate))
    async with Orchestrator.local(devices=3) as orchestrator:
        with anyio.fail_after(30):
            await (await orchestrator.submit(graph)).result()
    assert sorted(map(int, log.read_text().split())) == list(range(30))


async def test_an_edit_that_brings_what_no_device_can_do_is_refused(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("edited")
    graph.star("first", wait_for, path=str(gate))
    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(graph)
        for work, words in (("no_such_tool", "no_such_tool"), ("add", "'b' is missing")):
            edit = (await run.graph()).edit()
            edit.star("wrong", work, **({"a": 1} if work == "add" else {}))
            if work == "add":
                await orchestrator._book.offer({"add": add})
            with pytest.raises(AdmissionRefused, match=words):
                await run.edit(edit)
        gate.write_text("go")
        with anyio.fail_after(30):
            assert await run.result() == {"first": "go"}


async def test_a_planner_looks_again_when_the_graph_has_moved_under_its_edit() -> None:
    graph = TaskConstellation("joined")
    parts = [graph.star(f"part {number}", add, a=number, b=0) for number in range(4)]
    graph.star("join", total, numbers=[part.output for part in parts])
    looks: list[str] = []
    together = anyio.Event()

    async def planner(review: Review) -> Any:
        if not review.star.id.startswith("part"):
            return None
        looks.append(review.star.id)
        edit = review.edit()
        extra = edit.star(f"more {review.star.id}", add, a=1, b=1)
        edit.line(extra, "join")
        if len(looks) >= 4:
            together.set()
        await together.wait()  # so that all four are made against the same version
        return edit

    async with Orchestrator.local(devices=4, planner=planner) as orchestrator:
        run = await orchestrator.submit(graph)
        events = await watch(run)
    assert not [event for event in events if isinstance(event, seen.EditRefused)]
    assert len(settled(events)) == 9
    assert len(looks) > 4


async def test_an_ended_run_that_is_lost_with_the_one_around_it_is_forgotten_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_book, "MAX_ENDED_RUNS", 2)
    inner = TaskConstellation("inner")
    inner.star("quick", "add", a=1, b=1)
    outer = TaskConstellation("outer")
    outer.star("nested", inner)
    outer.star("ask", Approval("Go on?"))
    plain = TaskConstellation("plain")
    plain.star("quick", "add", a=1, b=1)
    async with Orchestrator.local(devices=1, tools=[add]) as orchestrator:
        held = await orchestrator.submit(outer)
        assert isinstance(held, LocalRun)
        with anyio.fail_after(30):
            async for event in held.events():
                if isinstance(event, seen.StarSettled) and event.star == "nested":
                    break
            orchestrator._book.lost(held.machine.run, SequenceConflict(held.id, 1, 2))
            for _ in range(4):
                assert await (await orchestrator.submit(plain)).result() == {"quick": 2}
