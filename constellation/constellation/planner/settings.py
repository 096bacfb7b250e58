"""How a planner works: when it is consulted, how large what it makes may be, and how often it may mend it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ..graph import StarState
from .errors import PlannerMisconfigured

When = Literal["never", "failure", "every", "chosen"]


@dataclass(frozen=True, slots=True)
class EditPolicy:
    """After which stars the planner is consulted.

    Attributes:
        when: `never`, on `failure`, after `every` result, or after `chosen` stars.
        stars: The chosen ones, by id.
        gather_s: Results that come within this many seconds of the first one are put before it together.
    """

    when: When = "failure"
    stars: frozenset[str] = frozenset()
    gather_s: float = 0.25

    def __post_init__(self) -> None:
        """Raises PlannerMisconfigured: it says two things, or nothing."""
        if self.when not in ("never", "failure", "every", "chosen"):
            raise PlannerMisconfigured(f"{self.when!r} is no policy: give never, failure, every or chosen")
        if bool(self.stars) is not (self.when == "chosen"):
            raise PlannerMisconfigured("stars go with the policy 'chosen', which needs at least one")
        if not 0 <= self.gather_s <= 60:
            raise PlannerMisconfigured(f"gather_s is {self.gather_s}, and has to be between 0 and 60 seconds")

    @classmethod
    def after(cls, stars: Collection[str]) -> EditPolicy:
        """The policy that the planner is consulted after these stars."""
        return cls("chosen", frozenset(stars))

    def wants(self, star: str, state: StarState) -> bool:
        """Whether the planner is to see how a star has ended."""
        if self.when == "failure":
            return state is StarState.FAILED
        return self.when == "every" or (self.when == "chosen" and star in self.stars)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a planner may make, and how often it may try.

    Attributes:
        stars: Stars in a plan, and in a graph after edits.
        new_stars: Stars that one edit may add.
        rounds: Answers of the model for one plan or edit.
        repairs: Those of them that may have something wrong.
        calls: Calls of tools that are carried out of one answer; the others are told back.
        context_tokens: About how long what is told of the devices, and of the graph, may be, in tokens each.
        question_s: Seconds that a person has to answer; then it counts as a no.
    """

    stars: int = 500
    new_stars: int = 50
    rounds: int = 24
    repairs: int = 8
    calls: int = 128
    context_tokens: int = 6_000
    question_s: float = 3_600.0
