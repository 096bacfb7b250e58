"""The live view: on the terminal's second screen, at its own pace, and out of the way when asked."""

from __future__ import annotations

import io

import anyio
import pytest
from rich.console import Console

from constellation.console.live import LiveView, live_view
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
    async with live_view(console_on(stream)) as view:
        view.show(STARTED)
        await stream.seen("3 stars")
    text = stream.getvalue()
    assert text.index(ENTER) < text.index("3 stars") < text.index(LEAVE)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


async def test_the_screen_is_given_back_when_the_view_is_cancelled() -> None:
    stream = Watched()
    with anyio.CancelScope() as scope:
        async with live_view(console_on(stream)):
            scope.cancel()
            await anyio.sleep_forever()
    assert stream.getvalue().count(ENTER) == stream.getvalue().count(LEAVE) == 1


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
    console = console_on(stream)
    view = LiveView(console)
    with view.drawn():
        view.show(STARTED)
        console.size = (20, 5)  # type: ignore[assignment]
        stream.truncate(0)
        stream.seek(0)
        view.refresh()
        picture = stream.getvalue().split("\x1b[H")[-1]
    lines = picture.split("\n")
    assert len(lines) <= 5
    assert max(len(line.rstrip("\r")) for line in lines) <= 20
