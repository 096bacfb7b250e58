"""From samples to the figures that are shown: medians per star, and how far samples lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """What a star costs; all medians of several runs.

    Attributes:
        name: The case, or the peer.
        stars: How many stars a run had.
        repeats: How many runs were measured.
        cpu_us_per_star: CPU microseconds per star of all processes together, those of a database's server included
            where they are known; of an edit, for cases that edit.
        client_cpu_us_per_star: Those of all processes but that server's.
        own_cpu_us_per_star: Those of the process that submits alone.
        server_cpu_us_per_star: Those of the database's server; None where there is none, or they are not known.
        wall_us_per_star: Microseconds of elapsed time per star.
        spread: The distance between the largest and the smallest run, as a share of the median.
        more: Further figures of this case.
    """

    name: str
    stars: int
    repeats: int
    cpu_us_per_star: float
    client_cpu_us_per_star: float
    own_cpu_us_per_star: float
    server_cpu_us_per_star: float | None
    wall_us_per_star: float
    spread: float
    more: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As one flat object."""
        shown: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        more = shown.pop("more")
        return {**shown, **more}


def figures_of_runs(name: str, samples: Sequence[Mapping[str, Any]]) -> Figures:
    """The figures of runs; see `measure.Sample` for what a sample is. Those of our cases tell `durability` too."""
    stars = samples[0]["stars"]

    def per_star(seconds: Sequence[float]) -> float:
        return round(1e6 * median(seconds) / float(stars), 2)

    served = [sample["server_cpu_s"] for sample in samples if sample["server_cpu_s"] is not None]
    clients = [sample["own_cpu_s"] + sample["others_cpu_s"] for sample in samples]
    together = [client + (sample["server_cpu_s"] or 0.0) for client, sample in zip(clients, samples, strict=True)]
    return Figures(
        name=name,
        stars=stars,
        repeats=len(samples),
        cpu_us_per_star=per_star(together),
        client_cpu_us_per_star=per_star(clients),
        own_cpu_us_per_star=per_star([sample["own_cpu_s"] for sample in samples]),
        server_cpu_us_per_star=per_star(served) if served else None,
        wall_us_per_star=per_star([sample["wall_s"] for sample in samples]),
        spread=spread(together),
        more={"durability": samples[-1]["durability"]} if "durability" in samples[-1] else {},
    )


def spread(values: Sequence[float]) -> float:
    """The distance between the largest and the smallest, as a share of the median."""
    middle = median(values)
    return round((max(values) - min(values)) / middle, 3) if middle else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
