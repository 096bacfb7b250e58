"""`python -m constellation_bench.overhead`: measure, and print a table or JSON.

python -m constellation_bench.overhead --stars 10000 --json
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from .measure import SETTINGS, Sample, Setting, measure
from .summary import Summary, summarise


def overhead(
    stars: Annotated[int, typer.Option(min=1, help="How many stars a run has.")] = 2_000,
    repeats: Annotated[int, typer.Option(min=1, help="How many runs of each setting are measured.")] = 3,
    setting: Annotated[list[Setting] | None, typer.Option(help="What to measure; all when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the CPU time per star of runs whose stars do nothing."""
    chosen = setting or list(SETTINGS)
    samples: dict[Setting, list[Sample]] = {name: [] for name in chosen}
    for repeat in range(repeats + 1):
        for name in chosen:  # in turns, so that what else the machine does weighs on all alike
            sample = measure(name, stars)
            if repeat > 0:  # the first round warms files and caches up
                samples[name].append(sample)
    summaries = [summarise(name, found) for name, found in samples.items()]
    sys.stdout.write(as_lines(summaries, stars, repeats) if not as_json else as_json_text(summaries, stars, repeats))


def as_json_text(summaries: list[Summary], stars: int, repeats: int) -> str:
    """The figures for programs."""
    figures = {"stars": stars, "repeats": repeats, "settings": [asdict(summary) for summary in summaries]}
    return json.dumps(figures, indent=2) + "\n"


def as_lines(summaries: list[Summary], stars: int, repeats: int) -> str:
    """The figures for people."""
    lines = [f"CPU per star, medians of {repeats} runs of {stars:,} stars", ""]
    lines.append(f"{'setting':<16}{'orchestrator':>14}{'devices':>10}{'spread':>9}{'stars/s':>10}")
    lines += [
        f"{summary.setting:<16}{summary.own_us:>11.0f} µs{summary.devices_us:>7.0f} µs"
        f"{summary.spread:>8.0%}{summary.stars_per_s:>10,.0f}"
        for summary in summaries
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(overhead)
