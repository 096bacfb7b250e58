"""How long work takes: a running mean per kind of work and device, learned from what attempts took."""

from __future__ import annotations

from math import inf

from ..graph import TaskStar, ToolCall
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
    return f"<{work.kind}>"


class _Mean:
    """What one kind of work takes: on the whole, and on each device."""

    __slots__ = ("all_s", "by_device")

    def __init__(self, first_s: float) -> None:
        self.all_s = first_s
        self.by_device: dict[DeviceId, float] = {}


class Durations:
    """Exponentially weighted means of observed durations, in seconds."""

    def __init__(self) -> None:
        self._means: dict[str, _Mean] = {}

    def observe(self, work: str, device: DeviceId, duration_s: float) -> None:
        """Learn from an attempt; what can't be a duration teaches nothing, since it is a device's word."""
        if not 0 <= duration_s < inf:
            return
        mean = self._means.get(work)
        if mean is None:
            mean = self._means[work] = _Mean(duration_s)
        mean.all_s += _WEIGHT * (duration_s - mean.all_s)
        known_s = mean.by_device.get(device, duration_s)
        mean.by_device[device] = known_s + _WEIGHT * (duration_s - known_s)

    def expected(self, work: str) -> float:
        """What such work takes on whichever device."""
        mean = self._means.get(work)
        return mean.all_s if mean is not None else DEFAULT_S

    def expected_on(self, work: str, device: DeviceId) -> float:
        """What such work takes on one device."""
        mean = self._means.get(work)
        return mean.by_device.get(device, mean.all_s) if mean is not None else DEFAULT_S
