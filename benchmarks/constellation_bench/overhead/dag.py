"""The graph that all runs of the benchmark carry out, as plain data, so that every peer runs the same one.

Layers of a hundred stars. A star waits for three of the layer before: the one in its own column and the neighbours on
both sides, the last column being next to the first. It is wide enough to keep many workers busy, every star but the
first hundred has to be joined, and no layer waits for all of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100
"""How many stars a layer has."""

Dag = Sequence[tuple[int, ...]]
"""For each star, by number, the stars that it waits for; these have smaller numbers."""


def layered(stars: int, *, width: int = WIDTH) -> Dag:
    """A graph of that many stars in layers of `width`, which is at least 3; the last layer may be smaller."""
    if width < 3:
        raise ValueError(f"a layer of {width} has no three stars to wait for; give a width of at least 3")
    return [_upstream(number, width) for number in range(stars)]


def _upstream(number: int, width: int) -> tuple[int, ...]:
    layer, column = divmod(number, width)
    if layer == 0:
        return ()
    before = (layer - 1) * width
    return tuple(before + (column + step) % width for step in (-1, 0, 1))


def downstream(dag: Dag) -> list[list[int]]:
    """For each star the stars that wait for it."""
    found: list[list[int]] = [[] for _ in dag]
    for number, upstream in enumerate(dag):
        for source in upstream:
            found[source].append(number)
    return found


def ends(dag: Dag) -> list[int]:
    """The stars that no star waits for."""
    return [number for number, targets in enumerate(downstream(dag)) if not targets]
