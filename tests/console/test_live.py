"""The live view: on the terminal's second screen, at its own pace, and out of the way when asked."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import termios

import anyio
import pytest
from rich.console import Console

from constellation.console.live import LiveView, live_view, redraw
from constellation.orchestrator import events as ev

pytestmark = pytest.mark.anyio

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


class Watched(io.StringIO):
    """A stream that lets a test wait for text."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = anyio.Event()

    def write(self, text: str) -> int:
        self._changed.set()
        return super().write(text)

    async def seen(self, text: str) -> None:
        with anyio.fail_after(10):
            while text not in self.getvalue():
                self._changed = anyio.Event()
                await self._changed.wait()


def console_on(stream: io.StringIO) -> Console:
    return Console(
        file=stream, width=60, height=12, force_terminal=True, color_system=None, legacy_windows=False, _environ={}
    )


STARTED = ev.RunStarted(time=50.0, run="r1", name="flow", stars=3, lines=0)


async def test_events_appear_without_being_waited_for_and_the_screen_is_given_back() -> None:
    stream = Watched()
    view = LiveView(console_on(stream))
    with view.drawn():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(redraw, view)
            view.show(STARTED)
            await stream.seen("3 stars")
            tasks.cancel_scope.cancel()
    text = stream.getvalue()
    assert text.index(ENTER) < text.index("3 stars") < text.index(LEAVE)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


async def test_the_screen_is_given_back_when_the_view_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    person, program = os.openpty()
    with os.fdopen(program, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("TERM", "xterm-256color")
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 30, 0, 0))
        with anyio.CancelScope() as scope:
            async with live_view():
                scope.cancel()
                await anyio.sleep_forever()
        text = ""
        while LEAVE not in text:  # a terminal hands over what has come, which may be a part
            text += os.read(person, 65536).decode()
    os.close(person)
    assert text.count(ENTER) == text.count(LEAVE) == 1


def test_time_runs_on_between_events_on_our_clock_from_what_the_last_event_said() -> None:
    now = 1000.0
    stream = io.StringIO()
    view = LiveView(console_on(stream), clock=lambda: now)
    with view.drawn():
        view.show(STARTED)
        now = 1002.5
        view.refresh()
    assert "2.5 s" in stream.getvalue()


def test_while_suspended_nothing_is_drawn_and_events_are_still_taken_in() -> None:
    stream = io.StringIO()
    view = LiveView(console_on(stream))
    with view.drawn():
        with view.suspended():
            assert stream.getvalue().endswith(LEAVE)
            view.show(STARTED)
            view.refresh()
            assert stream.getvalue().endswith(LEAVE)
        assert stream.getvalue().count(ENTER) == 2
        assert "3 stars" in stream.getvalue()
    assert stream.getvalue().count(LEAVE) == 2


def test_suspending_a_view_that_is_not_drawn_does_nothing() -> None:
    stream = io.StringIO()
    view = LiveView(console_on(stream))
    with view.suspended():
        view.refresh()
    assert stream.getvalue() == ""


def test_a_picture_after_a_resize_fits_the_new_size() -> None:
    stream = io.StringIO()
    sizes = [(60, 12)]
    view = LiveView(console_on(stream), measure=lambda: sizes[-1])
    with view.drawn():
        view.show(STARTED)
        sizes.append((20, 5))
        stream.truncate(0)
        stream.seek(0)
        view.refresh()
        picture = stream.getvalue().split("\x1b[H")[-1]
    lines = picture.split("\n")
    assert len(lines) <= 5
    assert max(len(line.rstrip("\r")) for line in lines) <= 20
