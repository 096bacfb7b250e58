"""Where stars go: what matches, what is free, what comes first, and what is said when nothing will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.graph import (
    AddLine,
    AddStar,
    Operation,
    Prompt,
    RemoveLine,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateStar,
)
from constellation.graph.documents import dump
from constellation.scheduling import DeviceId, DeviceLoad, Offer, RunId, Scheduler, Step
from constellation.scheduling import commands as cmd
from constellation.scheduling import events as ev
from constellation.scheduling.durations import DEFAULT_S, Durations, work_key
from constellation.scheduling.inputs import DeviceJoined
from constellation.scheduling.matching import explain_mismatch
from constellation.scheduling.timers import Timers

from .harness import Harness, R, star

OTHER = RunId("other")


def failure_line(source: str, target: str) -> TaskStarLine:
    return TaskStarLine(StarId(source), StarId(target), Trigger.FAILURE)


def line(source: str, target: str) -> TaskStarLine:
    return TaskStarLine(source, target)  # type: ignore[arg-type]


def test_labels_resources_pins_and_tools_decide_who_matches(h: Harness) -> None:
    h.join("mac", labels={"os": "macos"})
    h.join("gpu", labels={"os": "linux"}, resources={"gpu": 2}, slots=9)
    h.join("llm", tools={"prompt": False})
    h.start(
        star("mac", requires={"os": "macos"}),
        star("gpu", requires={"os": "linux", "gpu": 1}),
        star("pinned", device="gpu"),
        star("prompt", work=Prompt("think")),
        star("none", requires={"os": "windows"}),
    )
    placed = {told.star.id: told.device for told in h.told(cmd.Dispatch)}
    assert placed == {"mac": "mac", "gpu": "gpu", "pinned": "gpu", "prompt": "llm"}


def test_resources_are_reserved_and_given_back(h: Harness) -> None:
    h.join(slots=9, resources={"gpu": 1.0})
    h.start(*(star(name, requires={"gpu": 0.5}) for name in "abc"), star("free"))
    assert h.states() == {"a": "assigned", "b": "assigned", "c": "ready", "free": "assigned"}
    h.fail("a")
    assert h.state("c") is StarState.ASSIGNED
    h.leave()
    h.join(slots=9, resources={"gpu": 0.5})
    assert sum(h.state(name) is StarState.ASSIGNED for name in "bc") == 1


def test_fractions_of_a_resource_add_up_again_however_often_they_are_taken() -> None:
    device = DeviceLoad(DeviceId("d"), 1, Offer(resources={"gpu": 1.0}, slots=99))
    for round in range(50):
        for share in range(1, 5):
            device.take(ev.AttemptId(f"{round}.{share}"), {"gpu": share / 10})
        assert not device.has_room({"gpu": 0.1})
        for share in (2, 4, 1, 3):
            assert device.give_back(ev.AttemptId(f"{round}.{share}"))
    assert device.free_resources == {"gpu": 1.0}
    for share in (0.1, 0.2, 0.3):
        device.take(ev.AttemptId(str(share)), {"gpu": share})
    assert device.has_room({"gpu": 0.4})
    assert not device.give_back(ev.AttemptId("unknown"))


def test_higher_priority_goes_first_then_the_longer_way_to_the_end_then_who_came_first(h: Harness) -> None:
    chain = [star("long"), star("next"), star("last"), line("long", "next"), line("next", "last")]
    h.start(star("first"), star("second"), *chain, star("urgent", priority=5))
    h.join(slots=1)
    order = []
    while not h.machine.ended:
        running = next(name for name in h.graph if h.state(name) is StarState.ASSIGNED)
        order.append(str(running))
        h.succeed(running)
    assert order == ["urgent", "long", "next", "first", "second", "last"]


@pytest.mark.parametrize(
    "removed",
    [RemoveLine("a", "b"), RemoveStar("b")],
    ids=str,  # type: ignore[arg-type]
)
def test_a_star_that_loses_its_tail_goes_behind_others(h: Harness, removed: Operation) -> None:
    h.start(star("x"), star("a"), star("b"), star("c"), line("a", "b"), line("b", "c"))
    h.edit(removed, AddLine(line("x", "c")))
    ranks = h.scheduler._waiting.ranks[R]
    assert [ranks.known[name] for name in ("x", "a", "c")] == [2.0, 1.0, 1.0]  # type: ignore[index]
    assert ranks.known.get("b", 0.0) == (2.0 if "b" in h.graph else 0.0)  # type: ignore[index]


def test_a_star_goes_behind_others_when_all_that_waited_for_it_has_ended(h: Harness) -> None:
    h.start(star("a"), star("other"), star("b"), star("c"), line("a", "b"), line("other", "c"), line("b", "c"))
    h.handle(ev.CancelRequested(h.now, R, StarId("b")))
    h.edit(UpdateStar(star("a", priority=1)), UpdateStar(star("other", priority=1)))
    assert h.state("c") is StarState.SKIPPED
    ranks = h.scheduler._waiting.ranks[R]
    assert [ranks.known[name] for name in ("a", "other")] == [1.0, 1.0]  # type: ignore[index]


def test_a_star_that_gains_a_long_tail_goes_before_others(h: Harness) -> None:
    h.start(star("a"), star("b"), star("t1"), star("t2"), line("t1", "t2"))
    h.edit(AddLine(line("b", "t1")))
    ranks = h.scheduler._waiting.ranks[R]
    assert [ranks.known[name] for name in ("a", "b", "t1", "t2")] == [1.0, 3.0, 2.0, 1.0]  # type: ignore[index]


def test_stars_go_where_the_smaller_share_of_slots_is_in_use(h: Harness) -> None:
    h.join("big", slots=4)
    h.join("small", slots=2)
    h.start(*(star(f"s{n}") for n in range(3)))
    assert [h.on(f"s{n}") for n in range(3)] == ["big", "small", "big"]


def test_stars_go_where_their_files_are(h: Harness) -> None:
    h.join("a", slots=3)
    h.join("z", slots=3)
    h.start(star("make", device="z"), star("plain", device="z"), star("use"), line("make", "use"), line("plain", "use"))
    h.succeed("make", artifact_bytes=1000)
    h.succeed("plain")
    assert h.on("use") == "z"
    h.replayed()


def test_sizes_that_no_file_can_have_are_ignored(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    h.succeed("a", artifact_bytes=-5)
    assert not h.machine.artifact_bytes


def test_of_equal_devices_the_one_that_does_such_work_faster_is_taken(h: Harness) -> None:
    h.join("a", slots=1)
    h.join("b", slots=1)
    h.start(star("s1"), star("s2"), star("s3"), line("s1", "s3"), line("s2", "s3"))
    h.succeed("s1", duration_s=9.0)
    h.succeed("s2", duration_s=2.0)
    assert h.on("s3") == "b"


def test_durations_are_learned_and_what_cannot_be_one_is_not() -> None:
    durations = Durations()
    device = DeviceId("d")
    for nonsense in (float("nan"), float("inf"), -1.0):
        durations.observe("t", device, nonsense)
    assert durations.expected("t") == DEFAULT_S
    durations.observe("t", device, 10.0)
    durations.observe("t", device, 20.0)
    assert durations.expected("t") == durations.expected_on("t", device) == 12.0
    assert durations.expected_on("t", DeviceId("other")) == 12.0
    assert work_key(star("p", work=Prompt("x"))) == "<prompt>"


class LastByName:
    """A policy of a user's own."""

    def choose(
        self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: Mapping[DeviceId, int], durations: Durations
    ) -> DeviceLoad:
        return max(candidates, key=lambda device: device.id)


def test_the_policy_can_be_replaced() -> None:
    h = Harness(policy=LastByName())
    h.join("a")
    h.join("z")
    h.start(star("s"))
    assert h.on("s") == "z"


class Picky:
    """A policy that can't cope with stars of some names."""

    def choose(self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: object, durations: Durations) -> Any:
        if star.name == "raise":
            return {}[star.id]
        return DeviceLoad(DeviceId("mine"), 1, Offer()) if star.name == "invent" else candidates[0]


def test_a_policy_that_fails_ends_the_star_that_it_was_asked_about_and_nothing_else() -> None:
    h = Harness(policy=Picky())
    h.join("d0", slots=4)
    h.start(star("a", name="raise"), star("b", name="invent"), star("c"), star("z"), failure_line("a", "z"))
    h.start(star("c"), run=OTHER)
    assert h.error("a").type == h.error("b").type == "PolicyFailed"
    assert h.error("a").message == ("the placement policy Picky raised KeyError: 'a'; mend the policy, or leave it out")
    assert "chose 'mine', which is none of the devices" in h.error("b").message
    assert h.free() == 4 - 3
    h.succeed("c")
    h.succeed("c", run=OTHER)
    h.succeed("z")
    assert h.machine.state == "failed"
    assert h.scheduler.runs[OTHER].state == "succeeded"
    h.replayed()


class Grabby:
    """A policy that crosses out, on the list that it is given, what it keeps a star off."""

    def choose(self, star: TaskStar, candidates: Any, nearby: object, durations: Durations) -> DeviceLoad:
        if star.name == "first only":
            candidates[:] = [device for device in candidates if device.id == "d0"]
        found: DeviceLoad = max(candidates, key=lambda device: device.id)
        return found


def test_what_a_policy_does_to_the_devices_that_it_is_shown_is_no_matter_to_other_stars() -> None:
    h = Harness(policy=Grabby())
    h.start(star("a", name="first only"), star("b"))
    h.scheduler.take(DeviceJoined(h.now, DeviceId("d0"), 1, Offer(slots=2, tools={"t": True})), Step())
    h.join("d1", slots=2)
    assert (h.on("a"), h.on("b")) == ("d0", "d1")


# --- nobody can ---


def test_a_star_that_no_device_can_serve_fails_after_a_while_and_says_why(h: Harness) -> None:
    h.join("d0", labels={"os": "linux"}, resources={"gpu": 1})
    h.join("d1", tools={})
    h.start(star("a", requires={"os": "macos", "gpu": 4}), star("b"))
    h.wait(9)
    assert h.state("a") is StarState.READY
    h.wait(4)
    assert h.error("a").type == "NoDevice"
    assert h.error("a").message == (
        "needs the tool 't' and os 'macos' and 4 gpu, which no connected device has: "
        "d0 has os 'linux', not 'macos'; d1 has no tool 't'; connect one that has, or change what it needs"
    )
    assert h.state("b") is StarState.ASSIGNED


def test_patience_begins_anew_when_a_device_could_have_taken_it(h: Harness) -> None:
    h.start(star("a"), star("b"))
    h.wait(8)
    h.join("d0", slots=1)
    assert h.on("a") == "d0"
    h.wait(8)
    h.drain("d0")
    h.wait(8)
    assert h.state("b") is StarState.READY
    h.wait(4)
    assert h.error("b").type == "NoDevice"


def test_each_star_has_all_the_patience_whenever_it_comes_to_wait(h: Harness) -> None:
    h.start(star("a"), star("b"), TaskStarLine(StarId("a"), StarId("b"), Trigger.FAILURE))
    h.wait(8)
    h.edit(AddStar(star("c")))
    h.wait(4)
    assert (h.states(), h.error("a").type) == ({"a": "failed", "b": "ready", "c": "ready"}, "NoDevice")
    h.wait(5)
    assert h.states() == {"a": "failed", "b": "ready", "c": "ready"}
    h.wait(3)
    assert h.states() == {"a": "failed", "b": "ready", "c": "failed"}
    h.join()
    assert h.on("b") == "d0"


def test_a_busy_fleet_is_no_reason_to_give_up(h: Harness) -> None:
    h.join(slots=1)
    h.start(star("a"), star("b"))
    h.wait(100)
    assert h.state("b") is StarState.READY


def test_giving_up_on_what_is_not_ready_changes_nothing(h: Harness) -> None:
    h.join()
    h.start(star("a"))
    for name in ("a", "nobody"):
        h.ask(ev.PlacementFailed, name, "why not")
    assert h.machine.stale == 2


def test_every_reason_of_a_mismatch_is_told() -> None:
    offers = {DeviceId(f"d{n}"): Offer(tools={"t": True}, resources={"gpu": 1.0}) for n in range(8)}
    wanting = star("a", requires={"gpu": 2}, device="d1")
    told = explain_mismatch(wanting, offers, avoid=(DeviceId("d2"),))
    assert told.startswith(
        "needs device 'd1' and the tool 't' and 2 gpu, which no connected device has: d0 is not 'd1'"
    )
    assert "d1 has 1 gpu, not 2; d2 has refused it" in told
    assert told.endswith("; and 2 more; connect one that has, or change what it needs")
    assert "no device is connected" in explain_mismatch(wanting, {})
    assert explain_mismatch(star("a"), {DeviceId("d"): Offer(tools={"t": True})}).endswith(
        "d could; connect one that has, or change what it needs"
    )
    assert "has no label 'os'" in explain_mismatch(star("a", requires={"os": "x"}), offers)


# --- a fleet that changes ---


def test_a_device_that_drains_finishes_what_it_has_and_gets_nothing_new(h: Harness) -> None:
    h.join("d0", slots=2)
    h.start(star("a"), star("b"), line("a", "b"))
    h.drain("d0")
    h.succeed("a")
    assert h.state("b") is StarState.READY
    h.join("d1")
    assert h.on("b") == "d1"


def test_what_a_device_offers_can_change_under_way(h: Harness) -> None:
    h.join("d0", slots=1, resources={"gpu": 1})
    h.start(star("a", requires={"gpu": 1}), star("b"), star("c", "new"))
    h.change("d0", slots=3, tools={"t": True, "new": True}, resources={"gpu": 1})
    assert [h.on(name) for name in "abc"] == ["d0"] * 3
    h.change("d0", slots=1, resources={})
    assert (h.free(), h.scheduler.fleet.devices[DeviceId("d0")].free_resources) == (-2, {"gpu": -1.0})
    for name in "abc":
        h.succeed(name)
    assert h.free() == 1


def test_news_of_a_session_that_is_over_is_counted(h: Harness) -> None:
    h.join("d0")
    h.epochs["d0"] = 7
    h.change("d0", slots=9)
    h.drain("d0")
    h.leave("d0")
    assert (h.scheduler.stale, h.free()) == (3, 2)


def test_runs_share_the_fleet_and_leave_nothing_behind_when_they_are_dropped(h: Harness) -> None:
    other = ev.RunId("other")
    h.join(slots=1)
    h.start(star("a"), deadline_s=500.0)
    h.start(star("b"), star("c"), run=other, deadline_s=900.0)
    h.handle(ev.RunPaused(h.now, other))
    h.succeed("a")
    assert not h.told(cmd.Dispatch)
    h.handle(ev.CancelRequested(h.now, other))
    h.scheduler.drop(other)
    assert (h.scheduler.fleet.waiting, h.scheduler.next_due_at()) == (False, None)
    h.scheduler.drop(other)
    h.entries = [entry for entry in h.entries if entry.event.run == R]


# --- timers ---


def test_timers_fire_in_order_once_and_the_last_of_a_name_counts() -> None:
    timers, run = Timers(), R
    timers.start(run, "late", 9.0)
    timers.start(run, "soon", 5.0)
    timers.start(run, "moved", 1.0)
    timers.start(run, "moved", 7.0)
    timers.start(run, "stopped", 2.0)
    timers.stop(run, "stopped")
    timers.stop(run, "never")
    assert timers.next_due_at() == 5.0
    assert timers.pop_due(4.0) == []
    assert timers.pop_due(8.0) == [(run, "soon"), (run, "moved")]
    timers.stop_all(run)
    assert timers.next_due_at() is None


def test_timers_that_are_replaced_for_ever_do_not_pile_up() -> None:
    timers = Timers()
    for number in range(20_000):
        timers.start(R, "same", float(number))
    assert len(timers._heap) < 5000
    assert timers.pop_due(1e9) == [(R, "same")]


def test_a_star_that_handles_failure_is_placed_like_any_other(h: Harness) -> None:
    h.join()
    h.start(star("a"), star("b", requires={}), TaskStarLine("a", "b", Trigger.FAILURE))  # type: ignore[arg-type]
    h.fail("a")
    assert h.on("b") == "d0"


def test_lanes_of_stars_that_wait_no_more_are_cleared_away(h: Harness) -> None:
    h.start(*(star(f"s{n}", requires={"n": float(n)}) for n in range(60)))
    h.join(slots=60, resources={"n": 1e6})
    h.edit(*(AddStar(star(f"t{n}", requires={"m": float(n)})) for n in range(60)))
    assert len(h.scheduler.fleet._lanes) <= 64
    assert len(h.scheduler.fleet._queued[R]) == 60


@settings(max_examples=150, deadline=None)
@given(
    wanted=st.lists(st.tuples(st.sampled_from(["t", "u", "v"]), st.integers(0, 2), st.booleans()), max_size=30),
    slots=st.integers(1, 40),
)
def test_what_is_placed_at_once_goes_by_urgency_whatever_lanes_it_stands_in(
    wanted: list[tuple[str, int, bool]], slots: int
) -> None:
    # Of stars that are equally far from the end of the graph, the urgent ones go first, then those that came first.
    h = Harness()
    stars = [
        star(f"s{number}", work=ToolCall(tool), priority=priority, requires={"gpu": 0.01} if needs_gpu else {})
        for number, (tool, priority, needs_gpu) in enumerate(wanted)
    ]
    h.start(*stars, star("last"))
    h.join(slots=slots, resources={"gpu": 1.0}, tools={"t": True, "u": True, "v": True})
    in_order = [spec.id for spec in sorted([*stars, star("last")], key=lambda spec: -spec.priority)]
    assert [told.star.id for told in h.told(cmd.Dispatch)] == in_order[:slots]


def test_a_group_of_events_is_taken_in_before_anything_is_placed() -> None:
    scheduler, step = Scheduler(validate=True), Step()
    scheduler.take(DeviceJoined(1.0, DeviceId("d"), 1, Offer(tools={"t": True})), step)
    for run, priority in ((RunId("first"), 0), (RunId("second"), 1)):
        graph = TaskConstellation(run)
        graph.star("a", "t", priority=priority)
        scheduler.take(ev.RunStarted(1.0, run, dump(graph)), step)
    assert not step.commands
    scheduler.place(1.0, step)
    assert [told.run for told in step.commands if isinstance(told, cmd.Dispatch)] == ["second"]
