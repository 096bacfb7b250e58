"""`constellation bench holds`: a slow planner, under holds and under a global lock."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..commands import AsJson, Folder

if TYPE_CHECKING:
    from .measure import Mode
    from .workload import Workload

TIMEOUT_S = 300.0


def holds(
    width: Annotated[int, typer.Option(min=1, max=1_000, help="Chains of stars side by side.")] = 50,
    depth: Annotated[int, typer.Option(min=2, help="Stars in a chain.")] = 10,
    reviews: Annotated[int, typer.Option(min=0, help="Chains with a star that is reviewed.")] = 5,
    work_ms: Annotated[float, typer.Option(min=0, help="How long a star takes.")] = 50.0,
    review_ms: Annotated[float, typer.Option(min=0, help="How long a review takes.")] = 200.0,
    repeats: Annotated[int, typer.Option(min=1, help="How many times each is measured.")] = 3,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """How long a graph takes while a slow planner reviews some of its stars: holds, beside a global lock."""
    from constellation.cli.errors import BadInput

    from ..commands import carry_out, disk_folder, tell
    from ..machine import host
    from ..processes import measured_apart
    from .measure import Mode
    from .workload import Workload

    if reviews > width:
        raise BadInput(f"--reviews {reviews} is more than there are chains: give at most --width, {width}")
    workload = Workload(width, depth, reviews, work_ms / 1e3, review_ms / 1e3)
    place = disk_folder(folder)

    async def body() -> None:
        samples: dict[str, list[Mapping[str, float]]] = {mode.value: [] for mode in Mode}
        for round_number in range(1, repeats + 1):
            for mode in Mode:
                tell(f"round {round_number} of {repeats}: {mode}")
                arguments = {"mode": mode.value, "workload": asdict(workload)}
                function = f"{__package__}.measure:measure"
                samples[mode].append(await measured_apart(function, arguments, within=place, timeout_s=TIMEOUT_S))
        modes = [figures(mode, workload, samples[mode]) for mode in Mode]
        if as_json:
            sys.stdout.write(json.dumps({"host": host(), "workload": asdict(workload), "modes": modes}) + "\n")
        else:
            print_modes(workload, modes)

    return carry_out(body)


def figures(mode: Mode, workload: Workload, samples: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The medians of one mode's samples, beside the shortest times that are possible."""
    from .measure import Mode

    total_s = median(sample["total_s"] for sample in samples)
    bound_s = workload.bound_s(reviewed=mode is not Mode.NO_REVIEW)
    return {
        "name": mode.value,
        "repeats": len(samples),
        "total_s": round(total_s, 4),
        "bound_s": round(bound_s, 4),
        "ratio": round(total_s / bound_s, 3) if bound_s else None,
        "unrelated_s": round(median(sample["unrelated_s"] for sample in samples), 4),
        "unrelated_bound_s": round(workload.unrelated_bound_s(), 4),
    }


def print_modes(workload: Workload, modes: Sequence[Mapping[str, Any]]) -> None:
    """Print a table, a row per mode."""
    from rich.table import Table

    from ..commands import wide_console

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("total s", "bound s", "ratio", "unrelated stars s", "their bound s"):
        table.add_column(head, justify="right", no_wrap=True)
    for mode in modes:
        ratio = f"{mode['ratio']:.2f}" if mode["ratio"] is not None else "–"
        times = (f"{mode[field]:.3f}" for field in ("total_s", "bound_s", "unrelated_s", "unrelated_bound_s"))
        total, bound, unrelated, unrelated_bound = times
        table.add_row(mode["name"], total, bound, ratio, unrelated, unrelated_bound)
    console = wide_console()
    console.print(
        f"{workload.width} chains of {workload.depth} stars of {1e3 * workload.work_s:g} ms; in {workload.reviews} of "
        f"them one star is reviewed for {1e3 * workload.review_s:g} ms. Bounds are critical paths; unrelated stars are "
        "those that do not come after a reviewed one.\n"
    )
    console.print(table)
