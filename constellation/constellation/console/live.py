"""The live view of a run on a terminal: redrawn at a bounded rate, however fast events come.

It is drawn on the terminal's second screen, so that whatever the window is resized to, nothing of an older picture
stays behind, and what was there before is there again at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from rich.console import Console, ConsoleDimensions
from rich.live import Live

from ..orchestrator.events import Event
from .frame import Size, draw
from .view_model import RunView

REFRESH_S = 0.125
"""Seconds between two pictures."""


class LiveView:
    """Takes events in at once; the picture follows at its own pace.

    Args:
        console: Where to draw.
        measure: Says how large the screen is now; what the console was made for when None.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(
        self,
        console: Console,
        *,
        measure: Callable[[], tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = RunView()
        self._console = console
        self._measure = measure
        self._clock = clock
        self._last_event = clock()
        self._live: Live | None = None

    def show(self, event: Event) -> None:
        """Take an event in."""
        self.view.apply(event)
        self._last_event = self._clock()

    def refresh(self) -> None:
        """Draw the present picture, unless the view is suspended."""
        if self._live is not None:
            # Time runs on between events by our clock, from what the last event said: the clocks may differ.
            now = self.view.last_at + (self._clock() - self._last_event)
            if self._measure is not None:
                self._console.size = ConsoleDimensions(*self._measure())
            self._live.update(draw(self.view, now=now, size=Size(*self._console.size)), refresh=True)

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Take the screen over, and give it back in the end."""
        with Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live:
            self._live = live
            try:
                self.refresh()
                yield
            finally:
                self._live = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Give the screen back for a while, for a question to the person at the terminal."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        try:
            yield
        finally:
            if live is not None:
                live.start()
                self._live = live
                self.refresh()


@asynccontextmanager
async def live_view() -> AsyncIterator[LiveView]:
    """Show a live view on the terminal that the standard output is, until the context ends."""
    terminal = sys.stdout.fileno()
    console = Console(highlight=False, markup=False, emoji=False)
    # Asked anew for each picture: the console would believe COLUMNS and LINES, which a parent may have left behind.
    view = LiveView(console, measure=lambda: os.get_terminal_size(terminal))
    with view.drawn():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(redraw, view)
            yield view
            tasks.cancel_scope.cancel()


async def redraw(view: LiveView) -> None:
    """Draw a view at a bounded rate, until cancelled."""
    while True:
        view.refresh()
        await anyio.sleep(REFRESH_S)
