"""What of JSON every reader takes: how deep it may nest, and how long a number may be.

Readers give up on what nests too deep, each at a depth of its own, and a frame that one can't read ends the session
with all that goes on in it. So whoever writes looks first. A value may nest less deep than a message: it is handed on
in messages, records and answers that wrap it.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

MAX_MESSAGE_NESTING = 128
"""How many levels of objects and arrays a message may have, itself included."""

MAX_VALUE_NESTING = 100
"""How many levels an output, the data of a progress message, and the details of an error may have."""

MAX_DIGITS = 4300
"""How many digits a number may have."""


def nests_deeper(value: Any, limit: int) -> bool:
    """Whether a JSON value has more than `limit` levels of objects and arrays."""
    if not isinstance(value, (dict, list, tuple)):
        return False
    level: list[Any] = [value]
    for _ in range(limit + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, (list, tuple)):
                below.extend(item)
            else:
                continue
            below.append(None)  # an empty one is a level as well
        if not below:
            return False
        level = below
    return True


def unreadable(text: str, *, nesting: int) -> str | None:
    """Why not every reader takes this JSON text, as the end of a sentence about it; None when all do."""
    if len(text) <= 2 * nesting:  # each level takes two characters at least
        return None
    if text.count("{") + text.count("[") <= nesting and len(text) <= MAX_DIGITS:
        return None
    try:
        value = from_json(text)
    except ValueError as error:  # written by this program, it is JSON: only its depth or a number can be too much
        return f"is too deep, or has too long a number, for JSON to be read again ({error})"
    return f"nests deeper than {nesting} levels" if nests_deeper(value, nesting) else None
