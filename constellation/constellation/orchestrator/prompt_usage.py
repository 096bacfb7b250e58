"""What devices' models use for the prompts of a run, as the devices report it while they work.

A report is the sum of one try so far. What a device says is bounded before it counts: it can't take anything back.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from ..planner import Spent
from .events import Event, StarProgress

MOST = 10**12
"""The most calls, tokens and dollars that a report may tell of; what tells of more is none."""


class PromptUsage:
    """Makes of reports what is new in each."""

    def __init__(self, counted: Iterable[tuple[str, str, Spent]] = ()) -> None:
        """Begin with what was counted already: star, `try N`, and how much."""
        self._seen = {(star, attempt): used for star, attempt, used in counted}

    def take(self, event: Event) -> tuple[str, int, Spent] | None:
        """The star, the number of its try, and what it has used since its last report; None for all other events."""
        if not isinstance(event, StarProgress):
            return None
        told = _read(event.data)
        if told is None:
            return None
        key = (event.star, f"try {event.attempt}")
        before = self._seen.get(key, Spent())
        new = Spent(
            max(told.calls - before.calls, 0),
            max(told.input_tokens - before.input_tokens, 0),
            max(told.output_tokens - before.output_tokens, 0),
            None if told.usd is None else max(told.usd - (before.usd or Decimal(0)), Decimal(0)),
        )
        if not (new.calls or new.tokens or new.usd):
            return None
        self._seen[key] = before + new
        return event.star, event.attempt, new


def _read(data: Any) -> Spent | None:
    """What a report of a device's agent tells of use; None when it is no such report."""
    if not isinstance(data, dict) or data.get("agent") != "usage":
        return None
    amounts: list[Any] = [data.get(name) for name in ("steps", "input_tokens", "output_tokens")]
    if not all(type(amount) is int and 0 <= amount <= MOST for amount in amounts):
        return None
    try:
        usd = None if data.get("cost_usd") is None else Decimal(str(data["cost_usd"]))
    except InvalidOperation:
        return None
    if usd is not None and not (usd.is_finite() and 0 <= usd <= MOST):
        return None
    calls, prompt, answer = amounts
    return Spent(calls, prompt, answer, usd)
