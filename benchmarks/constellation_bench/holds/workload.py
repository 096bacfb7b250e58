"""Chains side by side, a few of which have one star that a planner reviews; and the shortest time they can take."""

from __future__ import annotations

from dataclasses import dataclass

from constellation import StarHandle, TaskConstellation


@dataclass(frozen=True, slots=True)
class Workload:
    """What is run.

    Attributes:
        width: How many chains there are.
        depth: How many stars a chain has, at least two.
        reviews: How many chains have a star that is reviewed, at most all. Each is at another depth than the one
            before, so that reviews come at different times; none is at a chain's end.
        work_s: How long a star takes, in seconds.
        review_s: How long a review takes, in seconds.
    """

    width: int
    depth: int
    reviews: int
    work_s: float
    review_s: float

    def graph(self) -> TaskConstellation:
        """The chains."""
        graph = TaskConstellation("holds")
        for chain in range(self.width):
            before: list[StarHandle] = []
            for level in range(self.depth):
                star = graph.star(star_id(chain, level), "work", seconds=self.work_s, after=before)
                before = [star]
        return graph

    def reviewed(self) -> set[str]:
        """The stars that are reviewed."""
        return {star_id(chain, chain % (self.depth - 1)) for chain in range(self.reviews)}

    def unrelated(self) -> set[str]:
        """The stars that do not come after a reviewed one."""
        return {
            star_id(chain, level)
            for chain in range(self.width)
            for level in range(self.depth)
            if chain >= self.reviews or level <= chain % (self.depth - 1)
        }

    def bound_s(self, *, reviewed: bool) -> float:
        """The critical path, with reviews or without: no schedule is faster."""
        return self.depth * self.work_s + (self.review_s if reviewed and self.reviews else 0.0)

    def unrelated_bound_s(self) -> float:
        """The critical path of the unrelated stars."""
        levels = [self.depth] * (self.width - self.reviews)
        levels += [chain % (self.depth - 1) + 1 for chain in range(self.reviews)]
        return max(levels) * self.work_s


def star_id(chain: int, level: int) -> str:
    """The id of a star."""
    return f"chain-{chain}-star-{level}"
