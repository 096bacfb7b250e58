"""Every event that says something to a person has a line, and hostile text in it stays text."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from constellation.console.lines import Tone, describe
from constellation.orchestrator import events as ev

BASE: typing.Any = {"seq": 1, "time": 1000.0, "run": "r1"}
HOSTILE = "x\x1b[2J\ny"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ev.RunStarted(**BASE, name="flow", stars=1, lines=2), "run r1: flow (1 star, 2 lines)"),
        (
            ev.RunRecovered(**BASE, name="flow", stars={"succeeded": 2, "pending": 1}),
            "run r1: flow taken up again (2 succeeded, 1 pending)",
        ),
        (ev.DeviceJoined(**BASE, device="d1", slots=2, pid=7), "d1 joined (process 7, 2 slots)"),
        (ev.DeviceJoined(**BASE, device="d1", slots=1), "d1 joined (1 slot)"),
        (ev.DeviceLeft(**BASE, device="d1", reason="killed"), "d1 left: killed"),
        (ev.DeviceLeft(**BASE, device="d1"), "d1 left"),
        (ev.StarStarted(**BASE, star="a", device="d1", attempt=1), "a: started on d1"),
        (ev.StarStarted(**BASE, star="a", device="d1", attempt=3), "a: started on d1, try 3"),
        (ev.StarProgress(**BASE, star="a", device="d1", attempt=1, text="half\n"), "a | half"),
        (
            ev.StarRetrying(**BASE, star="a", device="d1", error={"type": "E", "message": "m"}, delay_s=0.5),
            "a: E: m; tried again in 500 ms",
        ),
        (
            ev.StarRetrying(**BASE, star="a", device=None, error={"type": "DeviceLost"}, delay_s=0.0),
            "a: DeviceLost; tried again at once",
        ),
        (
            ev.StarSettled(**BASE, star="a", state="succeeded", device="d1", attempts=1, duration_s=1.25),
            "a: succeeded on d1 in 1.2 s",
        ),
        (
            ev.StarSettled(
                **BASE, star="a", state="failed", device="d1", attempts=3, error={"type": "E", "message": "m"}
            ),
            "a: failed on d1 after 3 tries: E: m",
        ),
        (
            ev.StarSettled(**BASE, star="a", state="skipped", error={"type": "Skipped", "message": "waits for b"}),
            "a: skipped: Skipped: waits for b",
        ),
        (
            ev.GraphEdited(
                **BASE, version=3, author="planner", reason="worst", added=("b", "c"), removed=("d",), touched=("e",)
            ),
            "edit by planner: added b, c; removed d; changed e (worst)",
        ),
        (ev.GraphEdited(**BASE, version=3, author="", reason=""), "edit by someone: no star changed"),
        (ev.EditRefused(**BASE, star="a", message="cycle"), "edit after a refused: cycle"),
        (ev.ApprovalRequested(**BASE, star="a", question="Go?", arguments={}), "a waits for approval: Go?"),
        (ev.RunPaused(**BASE), "paused: nothing new starts"),
        (ev.RunUnpaused(**BASE), "the pause is over"),
        (ev.EventsMissed(**BASE, count=3), "3 events missed here; the run itself is whole"),
        (
            ev.RunFinished(**BASE, state="failed", stars={"failed": 1}, width=1, makespan_s=1.0),
            "run r1 failed (1 failed)",
        ),
    ],
)
def test_events_read_as_lines(event: ev.Event, text: str) -> None:
    line = describe(event)
    assert line is not None
    assert line.text == text


@pytest.mark.parametrize(
    "event",
    [
        ev.StarAssigned(**BASE, star="a", device="d", attempt=1),
        ev.StarProgress(**BASE, star="a", device="d", attempt=1, fraction=0.5),
        ev.StarProgress(**BASE, star="a", device="d", attempt=1, data={"rows": 3}),
    ],
)
def test_events_that_repeat_what_others_say_have_no_line(event: ev.Event) -> None:
    assert describe(event) is None


@pytest.mark.parametrize("kind", ev.Event.__subclasses__())
def test_hostile_text_in_any_field_is_made_visible(kind: type[ev.Event]) -> None:
    values = {}
    for field in dataclasses.fields(kind):
        wanted = str(field.type)
        if wanted in ("str", "str | None"):
            values[field.name] = HOSTILE
        elif wanted.startswith("tuple"):
            values[field.name] = (HOSTILE,)
        elif "Mapping[str, int]" in wanted:
            values[field.name] = {HOSTILE: 1}
        elif "Mapping" in wanted:
            values[field.name] = {"type": HOSTILE, "message": HOSTILE}
        else:
            values[field.name] = 2
    line = describe(kind(**values))
    assert line is None or line.text.isprintable()


@pytest.mark.parametrize(("state", "tone"), [("succeeded", Tone.GOOD), ("failed", Tone.BAD), ("skipped", Tone.WARN)])
def test_an_end_has_the_tone_of_its_state(state: str, tone: Tone) -> None:
    line = describe(ev.StarSettled(**BASE, star="a", state=state))
    assert line is not None
    assert line.tone is tone
    assert line.routine is (state == "succeeded")
