"""What a library's schemas and calls cost in CPU time, threads included; calls in turns with pydantic alone.

The function is one as tools have: text, a list of objects, a date, and two that may be left out.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from .libraries import pydantic_alone
from .library import Library

SCHEMAS = 60
"""How many functions are described in one round."""

ROUNDS = 7

ROUND_S = 0.03
"""How long the calls of one round take, about."""

FEWEST_CALLS = 20


@dataclass
class Filter:
    """Narrows a search.

    Attributes:
        field: Which field.
        value: What it has to be.
        negate: Whether it must not be so.
    """

    field: str
    value: int | str
    negate: bool = False


ARGUMENTS: dict[str, Any] = {
    "query": "gauges",
    "filters": [
        {"field": "maker", "value": "Acme"},
        {"field": "year", "value": 2020, "negate": True},
        {"field": "size", "value": 3},
    ],
    "since": "2024-01-02",
    "limit": 3,
    "order": "newest",
}


def sync_function() -> Callable[..., Any]:
    """A new function."""

    def search(
        query: str,
        filters: list[Filter],
        since: dt.date,
        limit: int = 10,
        order: Literal["best", "newest"] = "best",
    ) -> str:
        """Search the catalogue.

        Args:
            query: What to look for.
            filters: What the results have to be like.
            since: The oldest day.
            limit: How many results at most.
            order: Which come first.
        """
        return query

    return search


def async_function() -> Callable[..., Any]:
    """A new asynchronous function."""

    async def search(
        query: str,
        filters: list[Filter],
        since: dt.date,
        limit: int = 10,
        order: Literal["best", "newest"] = "best",
    ) -> str:
        """Search the catalogue.

        Args:
            query: What to look for.
            filters: What the results have to be like.
            since: The oldest day.
            limit: How many results at most.
            order: Which come first.
        """
        return query

    return search


def schema_ms(library: Library) -> float:
    """CPU milliseconds from a function to the schema of its arguments."""
    rounds = []
    for _ in range(ROUNDS + 1):
        functions = [sync_function() for _ in range(SCHEMAS)]
        began = time.process_time()
        for function in functions:
            library.schema(library.make(function))
        rounds.append((time.process_time() - began) / SCHEMAS * 1e3)
    return median(rounds[1:])  # in the first one, caches fill


async def call_us(library: Library, made: Any, function: Callable[..., Any]) -> tuple[float, float]:
    """CPU microseconds of a call, and of the same call by pydantic alone, in turns.

    Raises:
        ValueError: a call did not return what the function does.
    """
    bare = pydantic_alone.make(function)
    if "gauges" not in str(await library.call(made, ARGUMENTS)):
        raise ValueError("a call does not return what the function does")

    async def one() -> None:
        await library.call(made, ARGUMENTS)

    async def one_bare() -> None:
        await pydantic_alone.call(bare, ARGUMENTS)

    number = max(FEWEST_CALLS, int(ROUND_S / (await _cpu_s(one, FEWEST_CALLS) / FEWEST_CALLS)))
    theirs, alone = [], []
    for _ in range(ROUNDS):
        theirs.append(await _cpu_s(one, number) / number * 1e6)
        alone.append(await _cpu_s(one_bare, number) / number * 1e6)
    return median(theirs), median(alone)


async def _cpu_s(call: Callable[[], Awaitable[None]], number: int) -> float:
    began = time.process_time()
    for _ in range(number):
        await call()
    return time.process_time() - began
