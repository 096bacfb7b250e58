"""`constellation bench artifact`: a large file from device to device."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..commands import AsJson, Folder

if TYPE_CHECKING:
    from .measure import Sample

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LARGEST_BYTES = 4 * 2**30
"""What a hub takes when nobody says otherwise."""


def artifact(
    size: Annotated[str, typer.Option(help="The file's size: a number, with KiB, MiB or GiB.")] = "1GiB",
    cut: Annotated[bool, typer.Option(help="Also measure it with each device's connection cut half-way.")] = True,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """A file from device to hub to device: memory that each process takes, and bytes on the wire, also with cuts."""
    from ..commands import carry_out, disk_folder, tell
    from ..machine import host
    from .measure import measure, warm_up
    from .stage import staged

    count = size_of(size)
    place = disk_folder(folder)

    async def body() -> None:
        with TemporaryDirectory(prefix="constellation-bench-", dir=place) as path:
            async with staged(Path(path)) as stage:
                await warm_up(stage)
                samples = []
                for number, cutting in enumerate((False, True) if cut else (False,), start=1):
                    tell(f"{count:,} bytes{', cut half-way' if cutting else ''}")
                    samples.append(await measure(stage, count, seed=number, cut=cutting))
        if as_json:
            told = {"host": host(), "size": count, "samples": [figures(sample) for sample in samples]}
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            print_samples(samples)

    return carry_out(body)


def size_of(text: str) -> int:
    """A number of bytes; raises BadInput."""
    from constellation.cli.errors import BadInput

    match = re.fullmatch(r"(\d{1,12})(KiB|MiB|GiB|)", text)
    size = int(match[1]) * UNITS[match[2]] if match is not None else 0
    if not 0 < size <= LARGEST_BYTES:
        raise BadInput(f"--size {text!r} is none from 1 to 4GiB: give a number, with KiB, MiB or GiB, as in 64MiB")
    return size


def figures(sample: Sample) -> dict[str, object]:
    """A sample with what follows from it."""
    return {
        **asdict(sample),
        "most_growth_bytes": max(sample.growth_bytes.values()),
        "extra_up_bytes": sample.up_bytes - sample.size,
        "extra_down_bytes": sample.down_bytes - sample.size,
    }


def print_samples(samples: Sequence[Sample]) -> None:
    """Print a table, a row per sample."""
    from rich.table import Table

    from ..commands import wide_console

    table = Table(box=None, pad_edge=False)
    names = list(samples[0].growth_bytes)
    for head in ("cuts", "seconds", "up", "down", *(f"{name} +MiB" for name in names)):
        table.add_column(head, justify="right", no_wrap=True)
    for sample in samples:
        grown = (sample.growth_bytes.get(name, 0) / 2**20 for name in names)
        ways = (sample.up_bytes / sample.size, sample.down_bytes / sample.size)
        table.add_row(
            str(sample.cuts),
            f"{sample.wall_s:.1f}",
            *(f"{way:.4f}" for way in ways),
            *(f"{value:.1f}" for value in grown),
        )
    console = wide_console()
    console.print(table)
    console.print("up, down: bytes on the wire per byte of the file. +MiB: the most memory that a process took more.")
