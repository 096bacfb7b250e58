"""A run as plain lines, for pipes, logs and simple terminals: seconds since the start, then what happened."""

from __future__ import annotations

from typing import TextIO

from ..orchestrator.events import Event
from .lines import describe
from .output import Printer


class PlainLines:
    """Prints every event that says something to a person as a line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._printer = Printer(stream)
        self._started_at: float | None = None

    def show(self, event: Event) -> None:
        """Print an event; raises OutputClosed when the reader has gone away."""
        if self._started_at is None:
            self._started_at = event.time
        line = describe(event)
        if line is not None:
            self._printer.line(line, prefix=f"{event.time - self._started_at:8.2f} s  ")
