"""How a chaos run goes, for whoever waits: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from constellation.console.output import is_live_terminal

from ..commands import tell
from .plan import Kind

if TYPE_CHECKING:
    from rich.status import Status

    from .run import Chaos, Moment

EVERY_S = 5.0
"""How often a line is written where it can't be changed afterwards, in seconds."""


class Showing:
    """Shows how things stand, on the standard error."""

    def __init__(self, chaos: Chaos) -> None:
        """Show nothing yet."""
        self._chaos = chaos
        self._stack = ExitStack()
        self._status: Status | None = None
        self._due_at = 0.0

    def __enter__(self) -> Self:
        if is_live_terminal(sys.stderr):
            from rich.console import Console

            console = Console(stderr=True, highlight=False, markup=False, emoji=False)
            self._status = self._stack.enter_context(console.status("starting hubs and devices"))
        else:
            tell("starting hubs and devices")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def show(self, moment: Moment) -> None:
        """Show how things stand at this moment."""
        if self._status is not None:
            self._status.update(self._line(moment))
        elif time.monotonic() >= self._due_at or moment.progress.account.over:
            self._due_at = time.monotonic() + EVERY_S
            tell(self._line(moment))

    def _line(self, moment: Moment) -> str:
        wanted, done, stage = self._chaos.disturbances, moment.done, moment.stage
        parts = [
            f"{moment.progress.account.ended:,} of {self._chaos.stars:,} stars ended",
            f"{done.kills} of {wanted[Kind.KILL]} kills",
            f"{done.cuts} of {wanted[Kind.CUT]} cuts",
            f"{sum(hub.ready for hub in stage.hubs)} of {len(stage.hubs)} hubs up",
            f"{sum(device.running for device in stage.devices)} of {len(stage.devices)} devices up",
        ]
        return ", ".join(parts)
