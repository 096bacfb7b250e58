"""A planner elsewhere: reviews are gathered, and handed out in batches to whoever plans.

To the orchestrator it is a planner like any other, which looks at each star by itself. What waits for a star stays held
until the batch that the star is in is done, whether an edit has been made meanwhile or not; all else goes on. Results
that come while a batch is being looked at wait for the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from ..graph import StarId
from .planning import Review

if TYPE_CHECKING:
    from ..planner import EditPolicy

ASKED_KEY = "asked"
"""Where a run's info has what is kept of the request that it was made for."""


@dataclass(frozen=True, slots=True)
class ReviewBatch:
    """Stars that have ended and are held together.

    Attributes:
        number: Which batch of the run, from 1.
        stars: The stars, in the order in which they ended.
    """

    number: int
    stars: tuple[StarId, ...]


@dataclass(slots=True)
class _Waiting:
    star: StarId
    done: anyio.Event = field(default_factory=anyio.Event)


class Gatherer:
    """Holds stars until somebody has looked at them. It is given as the planner of a run.

    Attributes:
        attended: Whether somebody has come to look at them.
        closed: Whether nothing is held any more.
    """

    def __init__(self, policy: EditPolicy, *, attended: bool = True) -> None:
        """Gather what a policy wants to be seen."""
        self._policy = policy
        self.attended = attended
        self.closed = False
        self._waiting: list[_Waiting] = []
        self._out: dict[int, Sequence[_Waiting]] = {}
        self._batches = 0
        self._changed = anyio.Event()

    async def __call__(self, review: Review) -> None:
        """Hold a star until its batch is done."""
        if self.closed or not self._policy.wants(review.star.id, review.state):
            return
        item = _Waiting(review.star.id)
        self._waiting.append(item)
        self._notify()
        try:
            await item.done.wait()
        finally:
            if item in self._waiting:
                self._waiting.remove(item)

    async def next(self) -> ReviewBatch | None:
        """Wait for stars to look at; None when nothing will come any more. Nothing is lost when it is cancelled."""
        while not self._waiting:
            if self.closed:
                return None
            await self._changed.wait()
        with anyio.move_on_after(self._policy.gather_s):
            while not self.closed:
                await self._changed.wait()
        self._batches += 1
        taken, self._waiting = self._waiting, []
        self._out[self._batches] = taken
        return ReviewBatch(self._batches, tuple(item.star for item in taken))

    def done(self, number: int) -> None:
        """Let go on what waits for the stars of a batch."""
        for item in self._out.pop(number, ()):
            item.done.set()

    def close(self) -> None:
        """Hold nothing any more: whoever looked at results is gone."""
        self.closed = True
        for number in list(self._out):
            self.done(number)
        for item in self._waiting:
            item.done.set()
        self._waiting = []
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def gatherer_for(info: Mapping[str, Any], *, closed: bool = False) -> Gatherer | None:
    """What the planner of the request that a run was made for may come back to, by the run's info.

    Args:
        info: The run's info.
        closed: Whether nothing is to be held until it does.

    Returns:
        None when the run was made for no request, or its planner looks at nothing.
    """
    if ASKED_KEY not in info:
        return None
    from .requests import policy_of

    policy = policy_of(info)
    if policy is None:
        return None
    gatherer = Gatherer(policy, attended=False)
    if closed:
        gatherer.close()
    return gatherer
