"""The picture of a run fits its screen, says what matters, and does not grow with the graph."""

from __future__ import annotations

import io
import time
import typing
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from constellation.console.frame import Size, draw
from constellation.console.view_model import RunView
from constellation.orchestrator import events as ev

MakeConsole = Callable[[int, int], Console]


def view_of(*events: tuple[type[ev.Event], dict[str, typing.Any]]) -> RunView:
    view = RunView()
    for seconds, (kind, fields) in enumerate(events):
        view.apply(kind(time=100.0 + seconds, run="r1", **fields))
    return view


def busy_view() -> RunView:
    return view_of(
        (ev.RunStarted, {"name": "flow", "stars": 10, "lines": 9}),
        (ev.DeviceJoined, {"device": "d1", "slots": 2, "pid": 7}),
        (ev.DeviceJoined, {"device": "device-2", "slots": 1}),
        (ev.StarStarted, {"star": "scan-a", "device": "d1", "attempt": 1}),
        (ev.StarSettled, {"star": "scan-a", "state": "succeeded", "device": "d1", "duration_s": 1.0}),
        (ev.StarStarted, {"star": "scan-b", "device": "d1", "attempt": 1}),
        (ev.StarProgress, {"star": "scan-b", "device": "d1", "attempt": 1, "fraction": 0.5}),
        (ev.StarAssigned, {"star": "scan-c", "device": "d1", "attempt": 1}),
        (ev.GraphEdited, {"version": 2, "author": "planner", "reason": "worst", "added": ("deep",)}),
        (ev.StarSettled, {"star": "x", "state": "failed", "device": "d1", "error": {"type": "E", "message": "no"}}),
        (ev.ApprovalRequested, {"star": "gate", "question": "Publish?", "arguments": {}}),
        (ev.DeviceLeft, {"device": "device-2", "reason": "killed"}),
    )


def shown(view: RunView, console: Console, *, now: float = 112.0) -> list[str]:
    size = Size(*console.size)
    with console.capture() as captured:
        console.print(draw(view, now=now, size=size), end="")
    return [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]


def test_a_busy_run_reads_like_this(make_console: MakeConsole) -> None:
    assert shown(busy_view(), make_console(72, 18)) == [
        "flow  r1  running  12.0 s  1 edit",
        "━" * 72,
        "11 stars: 1 succeeded · 1 failed · 2 running · 1 assigned · 6 waiting",
        "waits for approval: gate: Publish?",
        "",
        "● d1       2/2     1 done 1 failed  scan-b 7.0 s 50%  scan-c 5.0 s",
        "✗ device-2 gone  0 done",
        "",
        "    0.0 s  run r1: flow (10 stars, 9 lines)",
        "    1.0 s  d1 joined (process 7, 2 slots)",
        "    2.0 s  device-2 joined (1 slot)",
        "    8.0 s  edit by planner: added deep (worst)",
        "    9.0 s  x: failed on d1: E: no",
        "   10.0 s  gate waits for approval: Publish?",
        "   11.0 s  device-2 left: killed",
    ]


def test_before_the_first_event_there_is_already_a_picture(make_console: MakeConsole) -> None:
    assert shown(RunView(), make_console(40, 10)) == ["…    starting  0 s", "━" * 40, "0 stars: 0 waiting"]


def test_a_low_screen_keeps_the_head_and_the_end_of_the_log(make_console: MakeConsole) -> None:
    lines = shown(busy_view(), make_console(72, 9))
    assert len(lines) <= 9
    assert lines[0].startswith("flow")
    assert lines[-1] == "   11.0 s  device-2 left: killed"


def test_with_more_devices_than_lines_those_at_work_are_shown(make_console: MakeConsole) -> None:
    view = RunView()
    view.apply(ev.RunStarted(time=0.0, run="r1", name="flow", stars=100, lines=0))
    for number in range(50):
        view.apply(ev.DeviceJoined(time=0.0, run="r1", device=f"d{number}", slots=1))
    view.apply(ev.StarStarted(time=0.0, run="r1", star="a", device="d40", attempt=1))
    text = "\n".join(shown(view, make_console(80, 20), now=1.0))
    assert "● d40 1/1" in text
    assert "more devices" in text


def test_a_lane_names_a_few_stars_and_counts_the_rest(make_console: MakeConsole) -> None:
    view = RunView()
    view.apply(ev.RunStarted(time=0.0, run="r1", name="flow", stars=100, lines=0))
    for number in range(7):
        view.apply(ev.StarStarted(time=0.0, run="r1", star=f"s{number}", device="d1", attempt=1))
    text = "\n".join(shown(view, make_console(100, 20), now=1.0))
    assert "s3 1.0 s  +3" in text
    assert "s4" not in text


def test_one_star_among_thousands_still_has_a_place_in_the_bar() -> None:
    view = RunView()
    view.apply(ev.RunStarted(time=0.0, run="r1", name="flow", stars=10_000, lines=0))
    view.apply(ev.StarSettled(time=0.0, run="r1", star="a", state="failed"))
    console = Console(file=io.StringIO(), width=40, height=5, force_terminal=True, color_system="standard")
    console.print(draw(view, now=0.0, size=Size(40, 5)))
    assert "\x1b[31m━\x1b[0m" in console.file.getvalue()  # type: ignore[attr-defined]


def test_hostile_names_do_not_reach_the_terminal(make_console: MakeConsole) -> None:
    view = view_of(
        (ev.RunStarted, {"name": "\x1b]0;x\x07", "stars": 1, "lines": 0}),
        (ev.DeviceJoined, {"device": "d\x1b[31m", "slots": 1}),
        (ev.StarStarted, {"star": "a\x1b[2J", "device": "d\x1b[31m", "attempt": 1}),
        (ev.StarProgress, {"star": "a\x1b[2J", "device": "d\x1b[31m", "attempt": 1, "text": "[bold]\x1b[1mloud"}),
    )
    text = "\n".join(shown(view, make_console(80, 20)))
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "[bold]\\e[1mloud" in text


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 30), st.integers(0, 30))
def test_the_picture_is_never_larger_than_the_screen(width: int, height: int, devices: int, running: int) -> None:
    view = busy_view()
    for number in range(devices):
        view.apply(ev.DeviceJoined(time=112.0, run="r1", device=f"a-rather-long-device-name-{number}", slots=4))
    for number in range(running):
        star = f"a-star-with-a-name-{number}"
        view.apply(ev.StarStarted(time=112.0, run="r1", star=star, device=f"d{number % 7}", attempt=1))
    group = draw(view, now=120.0, size=Size(width, height))
    lines = typing.cast("list[typing.Any]", group.renderables)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)


@pytest.mark.parametrize("stars", [10_000])
def test_drawing_a_large_run_takes_a_few_milliseconds(stars: int, make_console: MakeConsole) -> None:
    view = RunView()
    view.apply(ev.RunStarted(time=0.0, run="r1", name="flow", stars=stars, lines=0))
    for number in range(stars):
        view.apply(ev.StarStarted(time=0.0, run="r1", star=f"s{number}", device=f"d{number % 300}", attempt=1))
    console = make_console(120, 40)
    begun = time.process_time()
    for _ in range(10):
        shown(view, console)
    assert (time.process_time() - begun) / 10 < 0.1
