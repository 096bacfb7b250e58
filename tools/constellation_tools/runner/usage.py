"""What the calls of each tool have come to."""

from __future__ import annotations

from dataclasses import dataclass

from .life import CallState


@dataclass(slots=True)
class ToolUsage:
    """Counters of one tool.

    Attributes:
        calls: Calls that have ended.
        errors: Those of them that failed.
        refused: Those that were not let run.
        cancelled: Those that were cancelled.
        tries: How often the tool was started, tries after failures included.
        seconds: How long it has run in all.
        bytes_in: Length of all arguments, as JSON text.
        bytes_out: Length of all results, before they were cut.
    """

    calls: int = 0
    errors: int = 0
    refused: int = 0
    cancelled: int = 0
    tries: int = 0
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, state: CallState, *, tries: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """Count a call that has ended."""
        self.calls += 1
        self.errors += state is CallState.FAILED
        self.refused += state is CallState.REFUSED
        self.cancelled += state is CallState.CANCELLED
        self.tries += tries
        self.seconds += seconds
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
