"""Budgets: how many calls, tokens, dollars and seconds the planner of one run may use, and what it has used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from ..llm import Usage
from .errors import BudgetUsedUp, PlannerMisconfigured

_PART = re.compile(r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<thousands>[kM]?)\s*(?P<unit>[a-z$]+)")
_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may use of models; None is no limit.

    What devices' models use for the run's prompts counts in tokens and money, as far as the devices say it. Calls and
    seconds are the planner's own.

    Attributes:
        calls: Requests to the planner's model.
        tokens: Tokens of prompts and answers together.
        usd: US dollars. Prices have to be known.
        seconds: Seconds of waiting for the planner's model.
    """

    calls: int | None = 60
    tokens: int | None = None
    usd: Decimal | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises PlannerMisconfigured: a limit is below 0."""
        for name in ("calls", "tokens", "usd", "seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise PlannerMisconfigured(f"a budget's {name} can't be {value}; give 0 or more, or leave it out")

    @classmethod
    def parse(cls, parts: Iterable[str]) -> Budget:
        """A budget as people write it: `2usd`, `40calls`, `200ktokens`, `10min`; commas may part them.

        Raises:
            PlannerMisconfigured: a part is none of these.
        """
        budget = cls()
        for part in (piece.strip() for text in parts for piece in text.split(",")):
            found = _PART.fullmatch(part)
            unit = found["unit"] if found else ""
            amount = Decimal(found["amount"]) * _FACTORS[found["thousands"]] if found else Decimal(0)
            if unit in ("usd", "$"):
                budget = replace(budget, usd=amount)
            elif unit in ("call", "calls"):
                budget = replace(budget, calls=int(amount))
            elif unit in ("token", "tokens"):
                budget = replace(budget, tokens=int(amount))
            elif unit in _SECONDS:
                budget = replace(budget, seconds=float(amount) * _SECONDS[unit])
            else:
                raise PlannerMisconfigured(
                    f"{part!r} is no budget: write an amount with its unit, such as 2usd, 40calls, 200ktokens or 10min"
                )
        return budget


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been used. Two add up.

    Attributes:
        calls: Requests to the model.
        input_tokens: Tokens of prompts, cached ones included.
        output_tokens: Tokens of answers.
        usd: US dollars; None where nobody knows.
        seconds: Seconds of waiting for the model.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = Decimal(0)
    seconds: float = 0.0

    @classmethod
    def of(cls, usage: Usage, seconds: float) -> Spent:
        """What one call has used."""
        return cls(1, usage.input_tokens, usage.output_tokens, usage.cost_usd, seconds)

    @property
    def tokens(self) -> int:
        """Prompts and answers together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if self.usd is None or other.usd is None else self.usd + other.usd,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        money = "" if not self.usd else f", {self.usd.normalize():f} USD"
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"{calls}, {self.input_tokens:,} + {self.output_tokens:,} tokens{money}"


class Ledger:
    """Keeps a budget.

    Attributes:
        budget: What may be used.
        spent: What the planner has used.
        prompts: What devices' models have used for prompts.
    """

    def __init__(self, budget: Budget, spent: Spent | None = None, prompts: Spent | None = None) -> None:
        """Begin with what an earlier process has used of it already."""
        self.budget = budget
        self.spent = Spent() if spent is None else spent
        self.prompts = Spent() if prompts is None else prompts

    def check(self) -> None:
        """See that another call may be made.

        Raises:
            BudgetUsedUp: it may not.
            PlannerMisconfigured: there is a budget in money, and nobody knows what has been spent.
        """
        budget, spent = self.budget, self.spent
        both = spent + self.prompts
        self.check_prices(known=both.usd is not None)
        limits = (
            ("calls", budget.calls, spent.calls, "calls"),
            ("tokens", budget.tokens, both.tokens, "tokens"),
            ("money", budget.usd, both.usd, "USD"),
            ("time", budget.seconds, spent.seconds, "s"),
        )
        for what, limit, used, unit in limits:
            if limit is not None and used is not None and used >= limit:
                also = f"; devices' models: {self.prompts}" if self.prompts.calls else ""
                raise BudgetUsedUp(what, f"the planner's budget of {limit:g} {unit} is used up ({spent}{also})")

    def check_prices(self, *, known: bool) -> None:
        """See that a budget in money can be kept; raises PlannerMisconfigured when it can't."""
        if self.budget.usd is not None and not known:
            raise PlannerMisconfigured(
                "a budget in money can't be kept, for the price of this model is not known, or it did not tell what it "
                "has used: give its prices (--price), or limit calls or tokens instead"
            )

    def take(self, used: Spent) -> None:
        """Note what a call has used."""
        self.spent += used

    def take_prompt(self, used: Spent) -> None:
        """Note what a device's model has used."""
        self.prompts += used

    @property
    def seconds_left(self) -> float | None:
        """How long the next call may take; None without limit."""
        return None if self.budget.seconds is None else max(self.budget.seconds - self.spent.seconds, 0.0)

    @property
    def tokens_left(self) -> int | None:
        """How long the next answer may be, at most; None without limit."""
        return (
            None if self.budget.tokens is None else max(self.budget.tokens - self.spent.tokens - self.prompts.tokens, 1)
        )
