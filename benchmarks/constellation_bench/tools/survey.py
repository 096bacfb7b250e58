"""Measuring all libraries in rounds, each in a process of its own, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ..errors import BenchError
from ..machine import host
from ..processes import measured_apart
from .subjects import ALONE, CLOSEST, OURS, Subject

MEASURE = f"{__package__}.measure:measure"

CALLS = ("async_call_us", "sync_call_us", "thread_call_us")

Progress = Callable[[str], None]
"""Is told what is being measured."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a library does and costs; costs are medians over the rounds.

    Attributes:
        subject: The library.
        scores: What it made of each case; the same in each round.
        costs: By name; `bare_*` is pydantic alone in the same process.
    """

    subject: Subject
    scores: Sequence[Mapping[str, Any]]
    costs: Mapping[str, float]

    @property
    def schema_exact(self) -> int:
        """In how many cases the schema is exact."""
        return sum(score["schema_exact"] for score in self.scores)

    @property
    def all_right(self) -> int:
        """In how many cases all is right."""
        return sum(score["all_right"] for score in self.scores)

    @property
    def wrong(self) -> list[Mapping[str, Any]]:
        """The cases in which something is wrong."""
        return [score for score in self.scores if not score["all_right"]]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.subject.name,
            "versions": self.subject.versions(),
            "cases": len(self.scores),
            "schema_exact": self.schema_exact,
            "all_right": self.all_right,
            "schema_ms": round(self.costs["schema_ms"], 3),
            **{name: round(self.costs[name], 2) for name in CALLS},
            **{f"bare_{name}": round(self.costs[f"bare_{name}"], 2) for name in CALLS},
            "wrong": [{"group": s["group"], "case": s["name"], "reason": s["wrong"]} for s in self.wrong],
        }


@dataclass(slots=True)
class Survey:
    """What was measured.

    Attributes:
        host: The machine.
        libraries: The figures.
        skipped: Libraries that are not installed, with how to install them.
        failed: Libraries that could not be measured, with what went wrong.
    """

    host: dict[str, Any]
    libraries: list[Figures] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Figures | None:
        """The figures of a library, if it was measured."""
        return next((figures for figures in self.libraries if figures.subject.name == name), None)

    def ratios(self) -> dict[str, float]:
        """What our own costs are beside pydantic alone and the closest peer; what was not measured is absent."""
        ours, closest = self.of(OURS), self.of(CLOSEST)
        if ours is None:
            return {}
        costs = ours.costs
        ratios = {
            "async_call_to_pydantic_alone": costs["async_call_us"] / costs["bare_async_call_us"],
            "sync_call_over_pydantic_alone_us": costs["sync_call_us"] - costs["bare_sync_call_us"],
        }
        if closest is not None:
            ratios["schema_to_pydantic_ai"] = costs["schema_ms"] / closest.costs["schema_ms"]
        if (alone := self.of(ALONE)) is not None:
            ratios["schema_to_pydantic_alone"] = costs["schema_ms"] / alone.costs["schema_ms"]
        return {name: round(value, 3) for name, value in ratios.items()}

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "host": self.host,
            "libraries": [figures.as_json() for figures in self.libraries],
            "ratios": self.ratios(),
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped.items()],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed.items()],
        }


async def survey(
    subjects: Sequence[Subject], *, repeats: int, folder: Path, timeout_s: float, progress: Progress
) -> Survey:
    """Measure libraries.

    They take turns, so that what else the machine does weighs on all alike. A peer that fails is left out of later
    rounds; if our own tools fail, that ends it all.

    Args:
        subjects: The libraries; those that are not installed are skipped.
        repeats: How many rounds there are.
        folder: Where files are kept meanwhile.
        timeout_s: How long one measurement may take.
        progress: Is told what is going on.

    Raises:
        BenchError: our own tools could not be measured.
    """
    found = Survey(host())
    found.skipped = {each.name: reason for each in subjects if (reason := each.missing()) is not None}
    present = [each for each in subjects if each.name not in found.skipped]
    samples: dict[str, list[Mapping[str, Any]]] = {}
    for round_number in range(1, repeats + 1):
        for subject in present:
            if subject.name in found.failed:
                continue
            progress(f"round {round_number} of {repeats}: {subject.name}")
            try:
                sample = await measured_apart(MEASURE, {"module": subject.module}, within=folder, timeout_s=timeout_s)
            except BenchError as error:
                if subject.name == OURS:
                    raise
                found.failed[subject.name] = str(error)
            else:
                samples.setdefault(subject.name, []).append(sample)
    found.libraries = [_figures(each, samples[each.name]) for each in present if each.name not in found.failed]
    return found


def _figures(subject: Subject, samples: Sequence[Mapping[str, Any]]) -> Figures:
    costs = {name: median(sample["costs"][name] for sample in samples) for name in samples[0]["costs"]}
    return Figures(subject, samples[0]["scores"], costs)
