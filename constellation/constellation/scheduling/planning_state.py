"""What a run knows of its planner: what it has used and done, and what it asks people. It follows from the events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from ..graph import EditBatch, StarId
from . import events as ev
from .planner_events import ASKED, PLANNER, PROMPTED

REASONS = 5
"""How many of the reasons of its edits are kept: a planner that goes on is reminded of them."""


@dataclass(slots=True)
class Account:
    """What has been used of models.

    Attributes:
        calls: Requests.
        input_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        usd: What they cost; None where nobody knows.
        seconds: Seconds of waiting.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = Decimal(0)
    seconds: float = 0.0

    def add(self, noted: ev.PlannerNoted) -> None:
        """Add what was used."""
        self.calls += noted.calls
        self.input_tokens += noted.input_tokens
        self.output_tokens += noted.output_tokens
        self.usd = None if self.usd is None or noted.usd is None else self.usd + Decimal(noted.usd)
        self.seconds += noted.seconds


@dataclass(slots=True)
class PlanningState:
    """The account of a run's planner.

    Attributes:
        notes: How many remarks it has made.
        spent: What it has used.
        prompts: What devices' models have used for stars, by star and try, as far as it was noted.
        reviewed: The stars that it has come to a decision about.
        reasons: Why it made its last edits.
        proposals: What people are being asked.
        asked: How many proposals there have been.
    """

    notes: int = 0
    spent: Account = field(default_factory=Account)
    prompts: dict[tuple[StarId, str], Account] = field(default_factory=dict)
    reviewed: dict[StarId, None] = field(default_factory=dict)
    reasons: deque[str] = field(default_factory=lambda: deque(maxlen=REASONS))
    proposals: dict[StarId, None] = field(default_factory=dict)
    asked: int = 0
    _looks_at: tuple[StarId, ...] = ()

    def take(self, noted: ev.PlannerNoted) -> None:
        """Take in what it lets be known."""
        self.notes += 1
        if noted.about == PROMPTED:
            for star in noted.stars:
                self.prompts.setdefault((star, noted.text), Account()).add(noted)
            return
        self.spent.add(noted)
        if noted.about == ASKED:
            self._looks_at = noted.stars
        elif noted.about in ("edited", "left", "gave_up"):
            self._decided(noted.stars)

    def edited(self, batch: EditBatch) -> None:
        """Take in an edit: one by the planner is its decision about the stars that it was looking at.

        Its remark about the edit comes after the edit, and may never come.
        """
        if batch.author == PLANNER and self._looks_at:
            self.reasons.append(batch.reason)
            self._decided(self._looks_at)

    def restarted(self) -> None:
        """Whoever planned is gone."""
        self._looks_at = ()

    def _decided(self, stars: tuple[StarId, ...]) -> None:
        self.reviewed.update(dict.fromkeys(stars))
        self._looks_at = ()
