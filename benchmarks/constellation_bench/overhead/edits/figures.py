"""The figures of cases that edit: every edit is the median of its repeats, for all of them make the same edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from ..figures import Figures, percentile, spread
from .kinds import ACROSS, ALONG, REFUSED_LINES, REMOVE, SINGLE

RANDOM = (ALONG, ACROSS, REMOVE)
"""The kinds that median and percentile are taken over; the worst is that of all kinds."""

Kinds = Mapping[str, Sequence[float]]


def figures_of_middle(name: str, samples: Sequence[Mapping[str, Any]]) -> Figures:
    """One line: the median over all random edits."""
    return _figures(name, samples, headline=RANDOM, more={})


def figures_of_batch(name: str, samples: Sequence[Mapping[str, Any]]) -> Figures:
    """A batch: the median over those that are rolled back because of a cycle."""
    kinds = _repeated(samples)
    single = median(kinds[SINGLE])
    ratio = round(median(kinds[REFUSED_LINES]) / single, 1)
    return _figures(
        name, samples, headline=(REFUSED_LINES,), more={"one_edit_us": round(single, 2), "to_one_edit": ratio}
    )


def _figures(
    name: str, samples: Sequence[Mapping[str, Any]], *, headline: Sequence[str], more: Mapping[str, Any]
) -> Figures:
    kinds = _repeated(samples)
    shown = [cost for kind in headline for cost in kinds[kind]]
    edits = sum(map(len, kinds.values()))
    return Figures(
        name=name,
        stars=samples[0]["stars"],
        repeats=len(samples),
        cpu_us_per_star=round(median(shown), 2),
        client_cpu_us_per_star=round(median(shown), 2),
        own_cpu_us_per_star=round(median(shown), 2),
        server_cpu_us_per_star=None,
        wall_us_per_star=round(median(1e6 * sample["wall_s"] / edits for sample in samples), 2),
        spread=spread([median([cost for kind in headline for cost in sample["cpu_us"][kind]]) for sample in samples]),
        more={
            "edits": edits,
            "median_us": round(median(shown), 2),
            "mean_us": round(fmean(shown), 2),
            "p99_us": round(percentile(shown, 0.99), 2),
            "worst_us": round(max(map(max, kinds.values())), 2),
            "kinds": [_kind(kind, costs) for kind, costs in kinds.items()],
            **more,
        },
    )


def _repeated(samples: Sequence[Mapping[str, Any]]) -> Kinds:
    return {
        kind: [median(costs) for costs in zip(*(sample["cpu_us"][kind] for sample in samples), strict=True)]
        for kind in samples[0]["cpu_us"]
    }


def _kind(kind: str, costs: Sequence[float]) -> dict[str, Any]:
    return {
        "kind": kind,
        "edits": len(costs),
        "median_us": round(median(costs), 2),
        "p99_us": round(percentile(costs, 0.99), 2),
        "worst_us": round(max(costs), 2),
    }
