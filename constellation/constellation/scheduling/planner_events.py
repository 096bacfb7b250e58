"""What happens around a run's planner, which is kept in the journal like all that happens to the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from ..graph import StarId
from ..graph.record import record
from .ids import RunId

PLANNER = "planner"
"""The author of a planner's edits."""

ASKED = "asked"
"""What a remark is about which says that a planner has had an answer of its model."""

PROMPTED = "prompted"
"""What a remark is about which says what a device's model has used for a star; its text says for which try."""


@record
class ProposalMade:
    """A planner asks a person before it does something; the answer is an `ApprovalAnswered` with its id as the star.

    `proposal` has the form `planner/<name>`, so that it is no star's id.
    """

    at: float
    run: RunId
    proposal: StarId
    question: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["proposal_made"] = "proposal_made"


@record
class ProposalWithdrawn:
    """A planner does not wait for an answer any more."""

    at: float
    run: RunId
    proposal: StarId
    reason: str = ""
    kind: Literal["proposal_withdrawn"] = "proposal_withdrawn"


@record
class PlannerNoted:
    """A planner lets something be known, and what it has used for it.

    `about` is what kind of thing it is; `usd` is a decimal number of dollars, or None where nobody knows.
    """

    at: float
    run: RunId
    stars: tuple[StarId, ...]
    about: str
    text: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: str | None = "0"
    seconds: float = 0.0
    kind: Literal["planner_noted"] = "planner_noted"
