"""The state behind the views: counted from events alone, right whatever order they come in."""

from __future__ import annotations

import time
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.console.view_model import ENDED, LOG_LINES, RunView
from constellation.orchestrator import events as ev


class Story:
    """Feeds a view, one second per event."""

    def __init__(self, stars: int = 4) -> None:
        self.view = RunView()
        self.now = 100.0
        self(ev.RunStarted, name="flow", stars=stars, lines=0)

    def __call__(self, kind: type[ev.Event], **fields: typing.Any) -> None:
        self.view.apply(kind(time=self.now, run="r1", **fields))
        self.now += 1.0


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_star_goes_from_waiting_over_a_lane_to_its_end(story: Story) -> None:
    view = story.view
    assert (view.run, view.name, view.state, view.waiting) == ("r1", "flow", "running", 4)
    story(ev.DeviceJoined, device="d1", slots=2)
    story(ev.StarAssigned, star="a", device="d1", attempt=1)
    assert (view.counts["assigned"], view.waiting) == (1, 3)
    assert not view.lanes["d1"].work["a"].begun
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    assert (view.counts["assigned"], view.counts["running"]) == (0, 1)
    assert (view.lanes["d1"].work["a"].begun, view.lanes["d1"].work["a"].since) == (True, 103.0)
    story(ev.StarProgress, star="a", device="d1", attempt=1, fraction=0.25)
    assert view.lanes["d1"].work["a"].fraction == 0.25
    story(ev.StarSettled, star="a", state="succeeded", device="d1")
    assert (view.counts["running"], view.counts["succeeded"], view.lanes["d1"].work) == (0, 1, {})
    assert view.lanes["d1"].done == 1


def test_a_retry_goes_back_to_waiting_and_may_move_to_another_lane(story: Story) -> None:
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    story(ev.DeviceLeft, device="d1", reason="killed")
    story(ev.StarRetrying, star="a", device="d1", error={}, delay_s=0.0)
    assert (story.view.waiting, story.view.lanes["d1"].work, story.view.lanes["d1"].here) == (4, {}, False)
    story(ev.StarStarted, star="a", device="d2", attempt=2)
    story(ev.StarSettled, star="a", state="failed", device="d2")
    assert story.view.lanes["d2"].failed == 1
    story(ev.DeviceJoined, device="d1", slots=1)
    assert story.view.lanes["d1"].here


def test_a_star_that_moves_without_a_word_leaves_its_old_lane(story: Story) -> None:
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    story(ev.StarAssigned, star="a", device="d2", attempt=2)
    assert (list(story.view.lanes["d1"].work), list(story.view.lanes["d2"].work)) == ([], ["a"])
    assert (story.view.counts["running"], story.view.counts["assigned"]) == (0, 1)


def test_progress_of_a_star_that_no_device_has_is_passed_over(story: Story) -> None:
    story(ev.StarProgress, star="a", device="d1", attempt=1, fraction=0.5)
    assert story.view.lanes == {}


def test_edits_change_the_total_and_take_removed_stars_out(story: Story) -> None:
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    story(ev.GraphEdited, version=2, author="p", reason="", added=("x", "y"), removed=("a", "b"))
    assert (story.view.total, story.view.edits, story.view.counts["running"]) == (4, 1, 0)
    assert story.view.lanes["d1"].work == {}
    story(ev.StarSettled, star="a", state="cancelled", device="d1")
    assert story.view.counts["cancelled"] == 0, "a star that is out of the graph is not counted"
    story(ev.GraphEdited, version=3, author="p", reason="", added=("a",))
    story(ev.StarSettled, star="a", state="succeeded", device="d1")
    assert story.view.counts["succeeded"] == 1


def test_an_approval_is_open_until_its_star_settles_or_goes(story: Story) -> None:
    story(ev.ApprovalRequested, star="a", question="Go\x1b?", arguments={})
    story(ev.ApprovalRequested, star="b", question="And?", arguments={})
    assert story.view.questions == {"a": "Go\\e?", "b": "And?"}
    assert story.view.counts["running"] == 2
    story(ev.StarSettled, star="a", state="succeeded")
    story(ev.GraphEdited, version=2, author="p", reason="", removed=("b",))
    assert story.view.questions == {}
    assert story.view.counts["running"] == 0


def test_a_recovered_run_begins_with_what_had_ended() -> None:
    view = RunView()
    view.apply(ev.RunRecovered(time=1.0, run="r1", name="flow", stars={"succeeded": 3, "running": 2, "pending": 5}))
    assert (view.total, view.counts["succeeded"], view.waiting) == (10, 3, 7)
    view.apply(ev.StarSettled(time=2.0, run="r1", star="a", state="succeeded"))
    assert (view.counts["succeeded"], view.waiting) == (4, 6)


def test_pauses_and_the_end_show_in_the_state(story: Story) -> None:
    story(ev.RunPaused)
    assert story.view.state == "paused"
    story(ev.RunUnpaused)
    assert story.view.state == "running"
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    story(ev.RunFinished, state="cancelled", stars={"succeeded": 1, "cancelled": 3}, width=1, makespan_s=1.0)
    view = story.view
    assert (view.state, view.total, view.waiting, view.lanes["d1"].work) == ("cancelled", 4, 0, {})
    assert (view.counts["succeeded"], view.counts["cancelled"], view.counts["running"]) == (1, 3, 0)


def test_the_log_keeps_what_is_worth_reading_and_no_more_than_a_bound(story: Story) -> None:
    story(ev.StarStarted, star="a", device="d1", attempt=1)
    assert [line.text for _, line in story.view.log] == ["run r1: flow (4 stars, 0 lines)"]
    for _ in range(LOG_LINES + 50):
        story(ev.StarProgress, star="a", device="d1", attempt=1, text="tick")
    assert len(story.view.log) == LOG_LINES


STARS = st.sampled_from([f"s{n}" for n in range(5)])
DEVICES = st.sampled_from(["d1", "d2"])
STEPS = st.one_of(
    st.tuples(st.just("assigned"), STARS, DEVICES),
    st.tuples(st.just("started"), STARS, DEVICES),
    st.tuples(st.just("retrying"), STARS, DEVICES),
    st.tuples(st.just("removed"), STARS, DEVICES),
    st.tuples(st.just("added"), STARS, DEVICES),
    st.tuples(st.sampled_from(ENDED), STARS, DEVICES),
)


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=60))
def test_counts_stay_consistent_with_any_events(steps: list[tuple[str, str, str]]) -> None:
    """Events may be missed, so no order of them is impossible."""
    story = Story(stars=5)
    present = {f"s{n}" for n in range(5)}
    for kind, star, device in steps:
        if kind in ("assigned", "started"):
            if star not in present:
                continue
            event = ev.StarAssigned if kind == "assigned" else ev.StarStarted
            story(event, star=star, device=device, attempt=1)
        elif kind == "retrying":
            story(ev.StarRetrying, star=star, device=device, error={}, delay_s=0.0)
        elif kind == "added" and star not in present:
            present.add(star)
            story(ev.GraphEdited, version=1, author="", reason="", added=(star,))
        elif kind == "removed" and star in present:
            present.discard(star)
            story(ev.GraphEdited, version=1, author="", reason="", removed=(star,))
        elif kind in ENDED:
            story(ev.StarSettled, star=star, state=kind, device=device)
        view = story.view
        assert all(count >= 0 for count in view.counts.values())
        assert view.total == len(present)
        assert sum(view.counts.values()) + view.waiting == len(present)
        held = [work for lane in view.lanes.values() for work in lane.work]
        assert len(held) == len(set(held)) == view.counts["running"] + view.counts["assigned"]


def test_ten_thousand_stars_cost_little_per_event() -> None:
    story = Story(stars=10_000)
    begun = time.process_time()
    for number in range(10_000):
        star = f"s{number}"
        story(ev.StarAssigned, star=star, device="d1", attempt=1)
        story(ev.StarStarted, star=star, device="d1", attempt=1)
        story(ev.StarSettled, star=star, state="succeeded", device="d1")
    per_event_s = (time.process_time() - begun) / 30_000
    assert story.view.counts["succeeded"] == 10_000
    assert per_event_s < 100e-6, f"{per_event_s * 1e6:.0f} µs per event"
