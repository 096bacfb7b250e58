"""Remarks: what a planner lets be known of its work, for the story of the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from .budget import Spent

RemarkKind = Literal["planned", "asked", "prompted", "mistake", "edited", "left", "refused", "gave_up"]
"""What it is about: a plan was made; the planner's model has answered; a device's model has been used for a star; the
model made a mistake and was told so; an edit was applied; things were left as they are; an edit was refused by the
policy, a person or the graph; the planner has given something up, or stopped."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to be known.

    Attributes:
        kind: What it is about.
        text: What there is to say; of a mistake, what the model was told.
        stars: The stars that it is about; empty for the whole run.
        spent: What has been used for it, calls of the model since the last remark included.
    """

    kind: RemarkKind
    text: str
    stars: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)


Note = Callable[[Remark], Awaitable[None]]
"""Takes a remark down."""
