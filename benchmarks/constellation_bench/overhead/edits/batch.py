"""Case `edit_batch`: batches of a hundred operations, which succeed and are undone, or fail at the last and roll back.

Each adds thirty-three stars with a line into each and a line out of it, and ends with one more operation, which makes it
fail for one of three reasons. Single lines are added besides, to compare with.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from constellation import EditBuilder

from ..cases.runs import star_id
from ..dag import WIDTH
from .lattice import Lattice
from .middle import add_and_remove
from .timing import EditTimer

ROUNDS = 100
NEW_STARS = 33
OPERATIONS = 3 * NEW_STARS + 1

SEED = 2

SINGLE = "add along"
"""The single edit that batches are compared with."""

FAILURE = "fails: cycle"
"""The failure that the case's figure is about: it can only be found by looking at the graph."""


def measure(stars: int, folder: Path) -> dict[str, Any]:
    """Time the batches; the folder is not used."""
    random, lattice, timer = Random(SEED), Lattice(stars), EditTimer(stars)
    for _ in range(ROUNDS):
        add_and_remove(timer, SINGLE, lattice.along(random))
        edit = _begin(timer, lattice, random)
        edit.remove_line(star_id(0), star_id(WIDTH))
        timer.apply("undo", timer.apply("succeeds", edit.build()))
        edit = _begin(timer, lattice, random)
        edit.line(star_id(WIDTH), star_id(0))
        timer.refuse(FAILURE, edit.build())
        edit = _begin(timer, lattice, random)
        edit.line(star_id(0), star_id(WIDTH))
        timer.refuse("fails: there already", edit.build())
        edit = _begin(timer, lattice, random)
        edit.remove("star-that-is-not-there")
        timer.refuse("fails: unknown star", edit.build())
    return timer.as_json()


def _begin(timer: EditTimer, lattice: Lattice, random: Random) -> EditBuilder:
    """A batch of all operations but the last."""
    edit = timer.graph.edit()
    for number in range(NEW_STARS):
        source, target = lattice.along(random)
        new = edit.star(f"new {number}", "nothing", after=[star_id(source)])
        edit.line(new, star_id(target))
    return edit
