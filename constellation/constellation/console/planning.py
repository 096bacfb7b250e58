"""Showing a planner at work: on a terminal a line that moves, elsewhere a line for each thing that has come."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio

from ..planner import Remark, Spent, Thinking
from .formatting import counted, duration
from .output import is_live_terminal
from .sanitise import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

REFRESH_S = 0.125
"""Seconds between two pictures."""

SHOWN_STARS = 3
"""How many of the stars that were named last are shown in the line that moves."""

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class PlanningView:
    """Shows what a planner does while nothing else can be shown: before its run, and after it.

    Args:
        note: Says a line to the person.
        live: Whether there is a terminal on which a line can be drawn over and over; else `note` gets them all.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, *, note: Callable[[str], None], live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._with_terminal = live
        self._clock = clock
        self._doing: str | None = None
        self._began = 0.0
        self._stars: dict[str, None] = {}
        self._spent = Spent()
        self._live: Live | None = None

    def show(self, shown: Remark | Thinking) -> None:
        """Take in what the planner does."""
        if isinstance(shown, Thinking):
            self._spent = shown.spent
            if shown.star and self._doing is not None:
                self._named(shown.star)
        elif self._doing is not None and shown.kind == "mistake":
            self._note(f"  the model has to mend: {visible(shown.text)}")

    def _named(self, star: str) -> None:
        if star in self._stars:
            return
        self._stars[star] = None
        if not self._with_terminal:
            self._note(f"  star {visible(star)}")

    @contextmanager
    def phase(self, doing: str) -> Iterator[None]:
        """Show the planner at this work, and in the end what it has come to."""
        self._doing, self._began = doing, self._clock()
        self._stars.clear()
        try:
            with self._drawn():
                yield
        finally:
            self._doing = None
        stars = f"{counted(len(self._stars), 'star')} in " if self._stars else "done in "
        self._note(f"{doing}: {stars}{duration(self._clock() - self._began)}; {self._spent}")

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        if not self._with_terminal:
            yield
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        with Live(
            console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as self._live:
            try:
                self.refresh()
                yield
            finally:
                self._live = None

    def refresh(self) -> None:
        """Draw the present picture, if there is one to draw."""
        if self._live is not None:
            self._live.update(self.line(), refresh=True)

    def line(self) -> Text:
        """The picture: one line, cut to the width of the screen."""
        from rich.text import Text

        elapsed = self._clock() - self._began
        frame = _FRAMES[int(elapsed / REFRESH_S) % len(_FRAMES)]
        line = Text.assemble((f"{frame} {self._doing}", "cyan"), (f"  {duration(elapsed)}", "dim"))
        if self._stars:
            latest = ", ".join(visible(star, limit=40) for star in list(self._stars)[-SHOWN_STARS:])
            line.append(f"  {counted(len(self._stars), 'star')}: … {latest}")
        if self._spent.calls:
            line.append(f"  {self._spent}", style="dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    async def redraw(self) -> None:
        """Draw at a bounded rate, until cancelled."""
        while True:
            self.refresh()
            await anyio.sleep(REFRESH_S)


@asynccontextmanager
async def planning_view(*, note: Callable[[str], None], quiet: bool) -> AsyncIterator[PlanningView]:
    """A view of a planner for as long as the context lasts; a quiet one shows nothing."""
    live = not quiet and is_live_terminal(sys.stderr)
    view = PlanningView(note=(lambda text: None) if quiet else note, live=live)
    async with anyio.create_task_group() as tasks:
        if live:
            tasks.start_soon(view.redraw)
        yield view
        tasks.cancel_scope.cancel()
