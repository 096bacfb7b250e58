"""How long work takes: a running mean per kind of work and device, learned from what attempts took."""

from __future__ import annotations

from math import inf

from ..graph import Nested, Prompt, TaskStar, ToolCall
from .events import DeviceId

DEFAULT_S = 1.0
"""The guess for work that has not been seen."""

_WEIGHT = 0.2
"""How much the newest observation counts."""


def work_key(star: TaskStar) -> str:
    """What stars are expected to take equally long: those that call the same tool, or are of the same other kind."""
    work = star.work
    if isinstance(work, ToolCall):
        return work.tool
    return "<prompt>" if isinstance(work, Prompt) else "<nested>" if isinstance(work, Nested) else "<approval>"


class Durations:
    """Exponentially weighted means of observed durations, in seconds."""

    def __init__(self) -> None:
        self._by_work: dict[str, float] = {}
        self._by_device: dict[DeviceId, dict[str, float]] = {}

    def observe(self, work: str, device: DeviceId, duration_s: float) -> None:
        """Learn from an attempt; what can't be a duration teaches nothing, since it is a device's word."""
        if not 0 <= duration_s < inf:
            return
        known = self._by_work.get(work)
        self._by_work[work] = duration_s if known is None else known + _WEIGHT * (duration_s - known)
        on_device = self._by_device.setdefault(device, {})
        known = on_device.get(work)
        on_device[work] = duration_s if known is None else known + _WEIGHT * (duration_s - known)

    def expected(self, work: str) -> float:
        """What such work takes on whichever device."""
        return self._by_work.get(work, DEFAULT_S)

    def expected_on(self, work: str, device: DeviceId) -> float:
        """What such work takes on one device."""
        on_device = self._by_device.get(device)
        known = on_device.get(work) if on_device is not None else None
        return known if known is not None else self._by_work.get(work, DEFAULT_S)
