"""What a run knows of its planner: what it has used, and what it asks people. It follows from the run's events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from ..graph import StarId
from . import events as ev


@dataclass(slots=True)
class PlanningState:
    """The account of a run's planner.

    Attributes:
        notes: How many remarks it has made.
        calls: Requests to its model.
        input_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        usd: What they cost; None where nobody knows.
        seconds: Seconds that it has waited for the model.
        proposals: What people are being asked.
        asked: How many proposals there have been.
    """

    notes: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = Decimal(0)
    seconds: float = 0.0
    proposals: dict[StarId, None] = field(default_factory=dict)
    asked: int = 0

    def take(self, noted: ev.PlannerNoted) -> None:
        """Add what was used."""
        self.notes += 1
        self.calls += noted.calls
        self.input_tokens += noted.input_tokens
        self.output_tokens += noted.output_tokens
        self.usd = None if self.usd is None or noted.usd is None else self.usd + Decimal(noted.usd)
        self.seconds += noted.seconds
