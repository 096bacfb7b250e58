"""Telling whoever watches a runner what happens to its calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from .events import CallChanged, CallProgress
from .life import Step
from .record import Record
from .settings import Observer


@dataclass(frozen=True, slots=True)
class Teller:
    """Takes steps of calls, and tells of them."""

    observer: Observer | None

    def take(self, record: Record, step: Step) -> None:
        """Take a step; one that comes after the call's end is not told."""
        if record.life.take(step, anyio.current_time()):
            self.tell(record)

    def tell(self, record: Record) -> None:
        """Tell where a call stands."""
        if self.observer is not None:
            approval = record.entry.approval if record.result is None else None
            self.observer(CallChanged(record.call, record.life.state, record.result, approval))

    def progress(self, record: Record, text: str | None, fraction: float | None, data: Any) -> None:
        """Tell how far a call is."""
        if self.observer is not None:
            self.observer(CallProgress(record.call, text, fraction, data))
