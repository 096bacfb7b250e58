"""Case `edit_batch`: batches of a hundred operations, which succeed and are undone, or fail at the last and roll back.

One kind adds lines. The other inserts stars into the middle, thirty-three with a line into each and a line out of it.
The last operation of each makes it fail, or is one that does not. Single lines are added besides, to compare with.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from constellation import EditBuilder

from ..cases.runs import star_id
from ..dag import WIDTH
from .kinds import CYCLE, LINES, SINGLE, STARS, UNDONE, UNKNOWN_STAR
from .lattice import LEAST_STARS, Lattice
from .middle import add_and_remove
from .timing import EditTimer

ROUNDS = 40
OPERATIONS = 100
NEW_STARS = 33

SEED = 2


def measure(stars: int, folder: Path) -> dict[str, Any]:
    """Time the batches, in a graph of at least `LEAST_STARS`; the folder is not used."""
    stars = max(stars, LEAST_STARS)
    random, lattice, timer = Random(SEED), Lattice(stars), EditTimer(stars)
    for _ in range(ROUNDS):
        add_and_remove(timer, SINGLE, lattice.along(random))
        for shape, begin in ((LINES, _lines), (STARS, _stars)):
            edit = begin(timer, lattice, random)
            edit.remove_line(star_id(0), star_id(WIDTH))
            timer.apply(f"{shape}, {UNDONE}", timer.apply(shape, edit.build()))
            edit = begin(timer, lattice, random)
            edit.line(star_id(WIDTH), star_id(0))
            timer.refuse(f"{shape}, {CYCLE}", edit.build())
            edit = begin(timer, lattice, random)
            edit.remove("star-that-is-not-there")
            timer.refuse(f"{shape}, {UNKNOWN_STAR}", edit.build())
    return timer.as_json()


def _lines(timer: EditTimer, lattice: Lattice, random: Random) -> EditBuilder:
    """A batch that adds lines, without its last operation."""
    edit = timer.graph.edit()
    lines: set[tuple[int, int]] = set()
    while len(lines) < OPERATIONS - 1:
        lines.add(lattice.along(random))
    for source, target in sorted(lines):
        edit.line(star_id(source), star_id(target))
    return edit


def _stars(timer: EditTimer, lattice: Lattice, random: Random) -> EditBuilder:
    """A batch that inserts stars, without its last operation."""
    edit = timer.graph.edit()
    for number in range(NEW_STARS):
        source, target = lattice.along(random)
        new = edit.star(f"new {number}", "nothing", after=[star_id(source)])
        edit.line(new, star_id(target))
    return edit
