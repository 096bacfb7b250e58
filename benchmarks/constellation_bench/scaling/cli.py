"""`constellation bench scaling`: the cost of a star in graphs of several sizes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Annotated, Any

import typer

from ..commands import AsJson, Folder

SIZES = (1_000, 10_000, 100_000)
REPEATS = 5
TIMEOUT_S = 600.0


def scaling(
    stars: Annotated[list[int] | None, typer.Option(min=1, help="A size; may be repeated. Else three.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How many times each size is measured.")] = REPEATS,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one measurement may take.")] = TIMEOUT_S,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """CPU time and memory per star in graphs of 1,000, 10,000 and 100,000 stars, in one process."""
    from ..commands import carry_out, disk_folder, tell
    from ..machine import host
    from ..processes import measured_apart

    sizes = sorted(set(stars or SIZES))
    place = disk_folder(folder)

    async def body() -> None:
        samples: dict[int, list[Mapping[str, Any]]] = {size: [] for size in sizes}
        for round_number in range(1, repeats + 1):
            for size in sizes:
                tell(f"round {round_number} of {repeats}: {size:,} stars")
                function = f"{__package__}.measure:measure"
                samples[size].append(await measured_apart(function, {"stars": size}, within=place, timeout_s=timeout))
        found = [figures(size, samples[size]) for size in sizes]
        growth = round(found[-1]["cpu_us_per_star"] / found[0]["cpu_us_per_star"], 3)
        if as_json:
            sys.stdout.write(json.dumps({"host": host(), "sizes": found, "growth": growth}) + "\n")
        else:
            print_sizes(found, growth)

    return carry_out(body)


def figures(stars: int, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The medians of samples of one size; see `measure.Sample`."""
    from ..overhead.figures import spread

    cpu = [1e6 * sample["cpu_s"] / stars for sample in samples]
    return {
        "stars": stars,
        "repeats": len(samples),
        "cpu_us_per_star": round(median(cpu), 2),
        "wall_us_per_star": round(median(1e6 * sample["wall_s"] / stars for sample in samples), 2),
        "spread": spread(cpu),
        "graph_bytes_per_star": round(median(sample["graph_bytes"] / stars for sample in samples)),
        "run_bytes_per_star": round(median(sample["run_bytes"] / stars for sample in samples)),
    }


def print_sizes(found: Sequence[Mapping[str, Any]], growth: float) -> None:
    """Print a table, a row per size."""
    from rich.table import Table

    from ..commands import wide_console

    table = Table(box=None, pad_edge=False)
    for head in ("stars", "CPU µs/star", "spread", "wall µs/star", "graph B/star", "run B/star"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in found:
        table.add_row(
            f"{row['stars']:,}",
            f"{row['cpu_us_per_star']:,.1f}",
            f"{row['spread']:.0%}",
            f"{row['wall_us_per_star']:,.1f}",
            f"{row['graph_bytes_per_star']:,}",
            f"{row['run_bytes_per_star']:,}",
        )
    console = wide_console()
    console.print(table)
    console.print(f"A star of the largest graph costs {growth:.2f} times the CPU time of one of the smallest.")
