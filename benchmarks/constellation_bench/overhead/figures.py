"""From samples to the figures that are shown: medians per star, and how far samples lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """What a star costs; all medians of several runs.

    Attributes:
        name: The case, or the peer.
        stars: How many stars a run had.
        repeats: How many runs were measured.
        cpu_us_per_star: CPU microseconds per star of all processes together; of an edit, for cases that edit.
        own_cpu_us_per_star: Those of the process that submits alone.
        wall_us_per_star: Microseconds of elapsed time per star.
        spread: The distance between the largest and the smallest run, as a share of the median.
        more: Further figures of this case.
    """

    name: str
    stars: int
    repeats: int
    cpu_us_per_star: float
    own_cpu_us_per_star: float
    wall_us_per_star: float
    spread: float
    more: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As one flat object."""
        shown = {field: getattr(self, field) for field in self.__slots__ if field != "more"}
        return {**shown, **self.more}


def figures_of_runs(name: str, samples: Sequence[Mapping[str, Any]]) -> Figures:
    """The figures of runs; see `measure.Sample` for what a sample is."""
    stars = samples[0]["stars"]
    both = [1e6 * (sample["own_cpu_s"] + sample["others_cpu_s"]) / stars for sample in samples]
    return Figures(
        name=name,
        stars=stars,
        repeats=len(samples),
        cpu_us_per_star=round(median(both), 2),
        own_cpu_us_per_star=round(median(1e6 * sample["own_cpu_s"] / stars for sample in samples), 2),
        wall_us_per_star=round(median(1e6 * sample["wall_s"] / stars for sample in samples), 2),
        spread=spread(both),
        more={},
    )


def spread(values: Sequence[float]) -> float:
    """The distance between the largest and the smallest, as a share of the median."""
    middle = median(values)
    return round((max(values) - min(values)) / middle, 3) if middle else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
