"""What a call has used, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, and money where it is known. Two add up.

    Attributes:
        input_tokens: All tokens of the prompt, cached ones included.
        cached_tokens: Those of them that came from the provider's cache.
        cache_write_tokens: Those of them that were written to it.
        output_tokens: All tokens of the answer, reasoning included.
        reasoning_tokens: Those of them that were reasoning.
        cost_usd: What it cost, in US dollars; None where nobody knows. Known and unknown add up to unknown: a sum that
            left something out would pass a budget that it should not.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and answer together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd,
        )


NOTHING = Usage(cost_usd=Decimal(0))
"""What has been used before anything was: the start of a sum."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a provider charges, in US dollars per million tokens.

    Attributes:
        input: A token of the prompt that came from no cache.
        output: A token of the answer.
        cached: A token of the prompt that came from the cache; as `input` when None.
        cache_write: A token of the prompt that was written to the cache; as `input` when None.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None

    @classmethod
    def of(
        cls,
        input: str,
        output: str,
        *,
        cached: str | None = None,
        cache_write: str | None = None,
    ) -> Prices:
        """Prices as they are written, such as `Prices.of("2.50", "10")`."""
        return cls(
            Decimal(input),
            Decimal(output),
            None if cached is None else Decimal(cached),
            None if cache_write is None else Decimal(cache_write),
        )

    def cost_usd(self, usage: Usage) -> Decimal:
        """What this usage costs."""
        fresh = max(usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens, 0)
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        total = (
            fresh * self.input
            + usage.cached_tokens * cached
            + usage.cache_write_tokens * written
            + usage.output_tokens * self.output
        )
        return total / _MILLION
