"""Case `edit_middle`: a line is added into the middle of a graph, and removed again, thousands of times.

Every line is removed before the next is added, so that each meets the same graph; the order that the graph keeps is
not restored by that, so later edits meet an order that earlier ones have left behind.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from ..cases.runs import star_id
from .kinds import ACROSS, ADVERSARIAL, ALONG, CLOSING, REMOVE
from .lattice import LEAST_STARS, Lattice, Pair
from .timing import EditTimer

RANDOM_PAIRS = 2_000
"""How many random lines of each kind are added."""

BACKWARD_PAIRS = 100
CLOSING_PAIRS = 100
WORSTS = 5

SEED = 1


def measure(stars: int, folder: Path) -> dict[str, Any]:
    """Time the edits, in a graph of at least `LEAST_STARS`; the folder is not used."""
    stars = max(stars, LEAST_STARS)
    random, lattice, timer = Random(SEED), Lattice(stars), EditTimer(stars)
    for _ in range(RANDOM_PAIRS):
        add_and_remove(timer, ALONG, lattice.along(random))
        add_and_remove(timer, ACROSS, lattice.across(random))
    for _ in range(BACKWARD_PAIRS):
        add_and_remove(timer, ADVERSARIAL, lattice.backward(random))
    for _ in range(CLOSING_PAIRS):
        source, target = (star_id(number) for number in lattice.closing(random))
        edit = timer.graph.edit()
        edit.line(source, target)
        timer.refuse(CLOSING, edit.build())
    for _ in range(WORSTS):
        for pair in lattice.worst(random):
            add_and_remove(timer, ADVERSARIAL, pair)
    return timer.as_json()


def add_and_remove(timer: EditTimer, kind: str, pair: Pair) -> None:
    """Add a line, and remove it."""
    source, target = (star_id(number) for number in pair)
    edit = timer.graph.edit()
    edit.line(source, target)
    timer.apply(kind, edit.build())
    edit = timer.graph.edit()
    edit.remove_line(source, target)
    timer.apply(REMOVE, edit.build())
