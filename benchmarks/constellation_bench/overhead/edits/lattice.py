"""Which lines can be added to the benchmark's graph, worked out from its shape, and which of them cost the most.

A star reaches those of the next layers that lie within a cone: d layers on, the columns at most d away. Two stars of
which neither reaches the other may be joined either way round. One way fits the order that the graph keeps; for the
other, stars that lead to the line's source or follow its target have to be found and moved, as far as they lie between
the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from ..dag import WIDTH

LEAST_STARS = 4 * WIDTH


class Place(NamedTuple):
    """A star, by its layer and column."""

    layer: int
    column: int

    @property
    def number(self) -> int:
        """Its number."""
        return self.layer * WIDTH + self.column % WIDTH


Pair = tuple[int, int]
"""A line by the numbers of its source and its target."""


class Lattice:
    """The whole layers of a graph of that many stars, of which there have to be at least `LEAST_STARS`."""

    def __init__(self, stars: int) -> None:
        self.layers = stars // WIDTH
        if stars < LEAST_STARS:
            raise ValueError(f"a graph of {stars} stars is too small to edit; give at least {LEAST_STARS}")

    def along(self, random: Random) -> Pair:
        """A new line from a layer to a later one."""
        while True:
            one, other = sorted((self._any(random), self._any(random)))
            if one.layer < other.layer and not (other.layer == one.layer + 1 and distance(one, other) <= 1):
                return one.number, other.number

    def across(self, random: Random) -> Pair:
        """A line between two stars of which neither reaches the other, either way round."""
        while True:
            one, other = self._any(random), self._any(random)
            if distance(one, other) > abs(one.layer - other.layer):
                return one.number, other.number

    def closing(self, random: Random) -> Pair:
        """A line that leads back to where its source can be reached from, so that it closes a cycle."""
        while True:
            early, late = sorted((self._any(random), self._any(random)))
            if early.layer < late.layer and distance(early, late) <= late.layer - early.layer:
                return late.number, early.number

    def backward(self, random: Random) -> Pair:
        """A line back over as many layers as a line can lead back without closing a cycle."""
        early, late = self._far_apart(random)
        return late.number, early.number

    def worst(self, random: Random) -> Iterator[Pair]:
        """Lines, each to be removed before the next is added, of which the last is the hardest to fit into the order.

        The others bring the order into the worst state for that one: its target as far to the front as it can lie, its
        source as far to the end. Then most stars lie between the two, and follow the one or lead to the other.
        """
        early, late = self._far_apart(random, layer=(self.layers - self._reach) // 2)
        last = self.layers - 1
        for column in range(WIDTH):
            first_row, last_row = Place(0, column), Place(last, column)
            if distance(early, first_row) > early.layer:
                yield early.number, first_row.number
            if distance(late, last_row) > last - late.layer:
                yield last_row.number, late.number
        yield late.number, early.number

    @property
    def _reach(self) -> int:
        """How many layers the ends of a line that may go either way lie apart at most."""
        return min(WIDTH // 2, self.layers) - 1

    def _far_apart(self, random: Random, layer: int | None = None) -> tuple[Place, Place]:
        if layer is None:
            layer = random.randrange(self.layers - self._reach)
        early = Place(layer, random.randrange(WIDTH))
        return early, Place(layer + self._reach, (early.column + WIDTH // 2) % WIDTH)

    def _any(self, random: Random) -> Place:
        return Place(random.randrange(self.layers), random.randrange(WIDTH))


def distance(one: Place, other: Place) -> int:
    """How many columns two stars lie apart; the last column is next to the first."""
    apart = abs(one.column - other.column)
    return min(apart, WIDTH - apart)
