"""What a prompt may use up, and what it has used. Near a limit there is a last answer, at it there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from constellation.llm import Usage

TIME_FOR_LAST_ANSWER = 0.9
"""The share of the time after which the model has to come to an end."""


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What one prompt may use up.

    Attributes:
        steps: How often the model is asked, repairs and summaries included.
        tokens: Of prompts and answers together; None for no limit.
        time_s: Seconds; None for no limit besides the star's own.
        cost_usd: Money; None for no limit.
    """

    steps: int = 50
    tokens: int | None = None
    time_s: float | None = None
    cost_usd: Decimal | None = None


@dataclass(slots=True)
class Spent:
    """What a prompt has used so far.

    Attributes:
        limits: What it may use.
        began: When it began, on the clock that later times are told by.
        steps: How often the model was asked.
        usage: Tokens and money.
    """

    limits: AgentLimits
    began: float
    steps: int = 0
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=Decimal(0)))
    _last: Usage = field(default_factory=lambda: Usage(cost_usd=Decimal(0)))

    def add(self, usage: Usage) -> None:
        """Take in what an answer has used."""
        self.usage += usage
        self._last = usage

    def exceeded(self, now: float) -> str | None:
        """Which limit is reached, in words; None while none is."""
        limits = self.limits
        if self.steps >= limits.steps:
            return f"it took {limits.steps} steps"
        if limits.tokens is not None and self.usage.total_tokens >= limits.tokens:
            return f"it used {self.usage.total_tokens} of {limits.tokens} tokens"
        if limits.time_s is not None and now - self.began >= limits.time_s:
            return f"it took longer than {limits.time_s:g} s"
        if limits.cost_usd is not None:
            if self.usage.cost_usd is None:
                return (
                    "nobody knows what the model costs, or it did not tell what it has used, so its budget can't be "
                    "kept; give its prices"
                )
            if self.usage.cost_usd >= limits.cost_usd:
                return f"it cost {self.usage.cost_usd:f} of {limits.cost_usd:f} USD"
        return None

    def is_last_step(self, now: float) -> bool:
        """Whether there is room for one more answer only; the next one is taken to use as much as the last."""
        limits = self.limits
        if self.steps + 1 >= limits.steps:
            return True
        if limits.tokens is not None and self.usage.total_tokens + 2 * self._last.total_tokens > limits.tokens:
            return True
        if limits.time_s is not None and now - self.began >= limits.time_s * TIME_FOR_LAST_ANSWER:
            return True
        if limits.cost_usd is None or self.usage.cost_usd is None or self._last.cost_usd is None:
            return False
        return self.usage.cost_usd + 2 * self._last.cost_usd > limits.cost_usd

    def as_json(self) -> Mapping[str, Any]:
        """The same for reports."""
        usage = self.usage
        told: dict[str, Any] = {
            "steps": self.steps,
            "input_tokens": usage.input_tokens,
            "cached_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
        }
        if usage.cost_usd is not None:
            told["cost_usd"] = f"{usage.cost_usd:f}"
        return told
