"""JSON that a model has written: read only where it can be kept and sent on. No I/O."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_LEVELS = 200
"""How deep it may be nested: what goes through it does so level by level."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""A half of a character, which can't be written as UTF-8 where it is alone."""


def read_json(text: str) -> Any:
    """The value.

    Raises:
        ValueError: it is no JSON, or such JSON as nobody else would take; says what is wrong.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"it is nested over {MOST_LEVELS} deep") from None
    if text.count("{") + text.count("[") > MOST_LEVELS:
        _check_levels(value)
    if _HALF.search(text) or not text.isascii():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds a half of a character, such as \\ud800") from None
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number[:40]} is too large a number")
    return value


def _check_levels(value: Any) -> None:
    ring = [value]
    for _ in range(MOST_LEVELS):
        ring = [
            inner
            for each in ring
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not ring:
            return
    raise ValueError(f"it is nested over {MOST_LEVELS} deep")
