"""Lines for pipes, for terminals and for programs; a reader that goes away is not an error."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import TextIO

import pytest

from constellation.console.jsonl import JsonLines, json_line
from constellation.console.lines import Line, Tone
from constellation.console.output import OutputClosed, Printer, is_live_terminal, write_text
from constellation.console.plain import PlainLines
from constellation.orchestrator import events as ev

STARTED = ev.RunStarted(seq=1, time=50.0, run="r1", name="flow\x1b[2J\u202e", stars=3, lines=0)
SETTLED = ev.StarSettled(seq=2, time=51.25, run="r1", star="a", state="succeeded", device="d1", output={"é": "\x9b"})


def test_plain_lines_begin_with_the_seconds_since_the_start() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for event in (STARTED, ev.StarAssigned(seq=2, time=51.0, run="r1", star="a", device="d1", attempt=1), SETTLED):
        lines.show(event)
    assert stream.getvalue() == (
        "    0.00 s  run r1: flow\\e[2J\\u202e (3 stars, 0 lines)\n    1.25 s  a: succeeded on d1\n"
    )


def test_json_lines_are_one_object_each_in_ascii() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    lines.show(STARTED)
    lines.show(SETTLED)
    first, second = stream.getvalue().splitlines()
    assert first.isascii()
    assert first.isprintable()
    assert second.isprintable()
    assert json.loads(first) == {
        "event": "run_started",
        "seq": 1,
        "time": 50.0,
        "run": "r1",
        "name": "flow\x1b[2J\u202e",
        "stars": 3,
        "lines": 0,
    }
    assert json.loads(second)["output"] == {"é": "\x9b"}


def test_the_last_event_has_exactly_the_documented_fields() -> None:
    event = ev.RunFinished(
        seq=9, time=1.0, run="r1", state="succeeded", stars={"succeeded": 3}, width=2, makespan_s=1.5
    )
    assert json.loads(json_line(event)) == {
        "event": "run_finished",
        "seq": 9,
        "time": 1.0,
        "run": "r1",
        "state": "succeeded",
        "stars": {"succeeded": 3},
        "width": 2,
        "makespan_s": 1.5,
        "report": None,
    }


@pytest.mark.parametrize(
    "write",
    [
        lambda stream: write_text("x", stream),
        lambda stream: JsonLines(stream).show(STARTED),
        lambda stream: PlainLines(stream).show(STARTED),
    ],
)
def test_a_reader_that_has_gone_away_is_told_apart_from_errors(write: Callable[[TextIO], None]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    with pytest.raises(OutputClosed):
        write(stream)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_terminals_get_colours_and_pipes_do_not(terminal: io.StringIO) -> None:
    pipe = io.StringIO()
    for stream in (terminal, pipe):
        Printer(stream).line(Line("[bold]bad :smile: 12", Tone.BAD))
    assert pipe.getvalue() == "[bold]bad :smile: 12\n"
    assert terminal.getvalue() == "\x1b[1;31m[bold]bad :smile: 12\x1b[0m\n"


def test_no_color_takes_the_colours_away(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Printer(terminal).line(Line("fine", Tone.GOOD))
    assert "\x1b[32m" not in terminal.getvalue()


def test_what_can_be_drawn_on_is_a_capable_terminal(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_live_terminal(terminal)
    assert not is_live_terminal(io.StringIO())
    terminal.encoding = "ascii"  # type: ignore[misc]
    assert not is_live_terminal(terminal)
    terminal.encoding = "UTF-8"  # type: ignore[misc]
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live_terminal(terminal)
    monkeypatch.delenv("TERM")
    assert not is_live_terminal(terminal)
