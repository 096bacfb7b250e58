"""Making a failing input small: steps are left out, then parts of frames, as long as it still fails.

Delta debugging with halving pieces, after Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
(2002), without the complements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from .target import Step

Sliceable = TypeVar("Sliceable", bound="str | bytes | list[Step]")

MOST_TRIES = 3000
"""How many smaller inputs are tried in all."""


def shrunk(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> Sequence[Step]:
    """The smallest input found that still fails."""
    left = [MOST_TRIES]

    def still(candidate: Sequence[Step]) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    kept = _without_parts(list(steps), still)
    for index in range(len(kept)):
        for place, part in enumerate(kept[index]):
            if place > 0 and isinstance(part, str | bytes):
                put = partial(_with_part, kept, index, place)
                kept = put(_without_parts(part, _composed(still, put)))
    return kept


def _with_part(steps: list[Step], index: int, place: int, part: str | bytes) -> list[Step]:
    """The steps with another argument in one place of one of them."""
    step = steps[index]
    return [*steps[:index], (*step[:place], part, *step[place + 1 :]), *steps[index + 1 :]]


def _composed(
    still: Callable[[list[Step]], bool], put: Callable[[str | bytes], list[Step]]
) -> Callable[[str | bytes], bool]:
    return lambda smaller: still(put(smaller))


def _without_parts(whole: Sliceable, still: Callable[[Sliceable], bool]) -> Sliceable:
    """Leave out as much as possible: halves, then quarters, and so on down to single items."""
    size = max(1, len(whole) // 2)
    while True:
        start = 0
        while start < len(whole):
            candidate: Sliceable = whole[:start] + whole[start + size :]  # type: ignore[assignment, operator]
            if still(candidate):
                whole = candidate
            else:
                start += size
        if size == 1:
            return whole
        size //= 2
