"""From samples to the figures that are shown: medians, and how far samples lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .measure import Sample, Setting


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one setting.

    Attributes:
        setting: What was measured.
        own_us: CPU microseconds per star of the orchestrator's process; with devices in it, theirs too.
        devices_us: CPU microseconds per star of device processes, all together.
        spread: The distance between the largest and the smallest sample of both, as a share of the median.
        stars_per_s: Stars per second of wall time.
    """

    setting: str
    own_us: float
    devices_us: float
    spread: float
    stars_per_s: float


def summarise(setting: Setting, samples: Sequence[Sample]) -> Summary:
    """The medians of at least one sample."""
    own = [1e6 * sample.own_cpu_s / sample.stars for sample in samples]
    devices = [1e6 * sample.devices_cpu_s / sample.stars for sample in samples]
    both = [mine + theirs for mine, theirs in zip(own, devices, strict=True)]
    return Summary(
        setting=setting.value,
        own_us=round(median(own), 1),
        devices_us=round(median(devices), 1),
        spread=round((max(both) - min(both)) / median(both), 3),
        stars_per_s=round(median(sample.stars / sample.wall_s for sample in samples), 1),
    )
