"""`constellation bench llm`: what the layer over language models costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from statistics import median
from typing import Annotated, Any

import typer

from ..commands import AsJson

TIMEOUT_S = 300.0


def llm(
    calls: Annotated[int, typer.Option(min=1, help="Calls of each kind in a round.")] = 200,
    pieces: Annotated[int, typer.Option(min=1, max=1_000, help="Pieces of a streamed answer.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, each in a process of its own.")] = 3,
    library: Annotated[list[str] | None, typer.Option(help="openai or litellm; may be repeated.")] = None,
    as_json: AsJson = False,
) -> int:
    """What a call of a language model costs, beside the bare libraries, against a local server without a model."""
    import tempfile
    from pathlib import Path

    from constellation.cli.errors import BadInput

    from ..commands import carry_out, tell
    from ..machine import host
    from ..processes import measured_apart
    from .measure import Library

    known = [each.value for each in Library]
    if unknown := sorted(set(library or ()) - set(known)):
        raise BadInput(f"--library {unknown[0]} is none of {', '.join(known)}")
    chosen = [each for each in known if not library or each in library]
    if "litellm" in chosen and find_spec("litellm") is None:
        tell("litellm is skipped: pip install 'constellation-agents[litellm]'")
        chosen.remove("litellm")

    async def body() -> None:
        samples: dict[str, list[Mapping[str, Mapping[str, float]]]] = {each: [] for each in chosen}
        for number in range(1, repeats + 1):
            for each in chosen:
                tell(f"round {number} of {repeats}: {each}")
                arguments = {"library": each, "calls": calls, "pieces": pieces}
                within = Path(tempfile.gettempdir())
                function = f"{__package__}.measure:measure"
                samples[each].append(await measured_apart(function, arguments, within=within, timeout_s=TIMEOUT_S))
        rows = [row for each in chosen for row in figures(each, samples[each])]
        if as_json:
            told = {"host": host(), "calls": calls, "pieces": pieces, "versions": versions(chosen), "rows": rows}
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            print_rows(rows)

    return carry_out(body)


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """The versions of what was measured."""
    from importlib.metadata import version

    return {each: version(each) for each in libraries}


def figures(library: str, samples: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row for whole answers and one for streams: medians over the rounds, and of the rounds' ratios."""
    rows: list[dict[str, Any]] = []
    for mode in ("whole", "stream"):
        ratios = [sample["ours"][mode] / sample["bare"][mode] for sample in samples]
        rows.append(
            {
                "library": library,
                "mode": mode,
                "repeats": len(samples),
                "bare_cpu_us": round(median(sample["bare"][mode] for sample in samples), 1),
                "ours_cpu_us": round(median(sample["ours"][mode] for sample in samples), 1),
                "ratio": round(median(ratios), 3),
                "worst_ratio": round(max(ratios), 3),
            }
        )
    return rows


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table."""
    from rich.table import Table

    from ..commands import wide_console

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("bare µs", "ours µs", "ratio", "worst ratio"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        numbers = (f"{row['bare_cpu_us']:,.0f}", f"{row['ours_cpu_us']:,.0f}")
        table.add_row(f"{row['library']}, {row['mode']}", *numbers, f"{row['ratio']:.2f}", f"{row['worst_ratio']:.2f}")
    console = wide_console()
    console.print("CPU time per call in the client's process; ours over the library, and the library alone.\n")
    console.print(table)
