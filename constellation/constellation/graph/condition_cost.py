"""How much work a condition may be to evaluate, at most, before anybody sets about it.

CEL always comes to an end, but not soon: loops within loops multiply, and the library copies what `map` and `filter`
have gathered for every item that they add. An evaluation can't be interrupted, and the whole orchestrator waits for it.
So what might take seconds is refused, by an estimate that is never too low by much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

MAX_STEPS = 4_000_000
"""How many steps an evaluation may take; a million of them are up to a second."""

_NOT_CODE = re.compile(
    r"""(?ix)
    (?P<raw>r b? | b r)? (?P<quote>\"\"\"|'''|"|') (?(raw) .*? | (?:\\.|[^\\])*? ) (?P=quote)
    | //[^\n]*""",
    re.DOTALL,
)
"""Text and comments, which may look like anything."""

_LOOP = re.compile(r"\.\s*(all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w+)\s*,")
_PLACE = re.compile(r"(?<![\w.)\]])([A-Za-z_]\w*)(?:\s*(?:\.\s*\w+|\[[^\[\]()]*\]))*\s*$")
"""What a loop goes over, where that is a place in a variable."""

_WHOLE = re.compile(r"(?:\bin|[=!]=|\+)\s*\(*\s*output\b|\boutput\b(?:\s*(?:\.\s*\w+|\[[^\[\]()]*\]))*\s*(?:[=!]=|\+)")
"""What may take as long as the output is large, without being a loop."""

_ITEMS = re.compile(r"[,+]")

_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\b(?!\s*\()")
_LITERAL = re.compile(r"(?<![\w\])])[\[{]")
_NO_VARIABLES = frozenset({"true", "false", "null", "in"})


class Cost(NamedTuple):
    """How the work grows.

    Attributes:
        literals: How many items the expression itself may bring.
        power: The steps that it takes, at most, are the number of items to this power.
    """

    literals: int
    power: int

    def steps(self, items: int) -> int:
        """The steps that it takes over a value whose largest part has so many items."""
        return int(max(items, self.literals) ** self.power)


class _Loop(NamedTuple):
    """A loop: where it ends, what it calls an item, whose items it goes over, and what all that costs."""

    end: int
    variable: str
    within: str
    power: int
    gathers: bool
    compares: bool


@lru_cache(maxsize=1024)
def cost_of(expression: str) -> Cost:
    """The cost of an expression that parses."""
    code = _NOT_CODE.sub(lambda found: "''" if found["quote"] else " ", expression)
    return Cost(1 + len(_ITEMS.findall(code)), max(_powers(code), default=1))


def _powers(code: str) -> Iterator[int]:
    around: list[_Loop] = []
    loops = list(_LOOP.finditer(code))
    # What these make has more items than what they go over, and other loops may go over that.
    growing = sum(found[1] == "map" and _grows(code, found) for found in loops)
    for found in loops:
        while around and around[-1].end < found.start():
            around.pop()
        outer = around[-1] if around else _Loop(len(code), "", "", 0, gathers=False, compares=False)
        end = _closing(code, found.end())
        place = _PLACE.search(code, 0, found.start())
        name = place[1] if place is not None else ""
        # The items of an item are among those that are counted already; but not once more for each of them.
        is_within = any(loop.variable == name for loop in around) and all(loop.within != name for loop in around)
        loop = _Loop(
            end,
            found[2],
            name if is_within else "",
            outer.power + (not is_within),
            gathers=outer.gathers or found[1] in ("map", "filter"),
            compares=outer.compares or _WHOLE.search(code, found.end(), end) is not None,
        )
        around.append(loop)
        yield loop.power + loop.gathers + loop.compares + growing


def _grows(code: str, found: re.Match[str]) -> bool:
    """Whether a `map` makes more of an item than a part of it."""
    body = code[found.end() : _closing(code, found.end())]
    others = {name[1] for name in _NAME.finditer(body)} - _NO_VARIABLES - {found[2]}
    return bool(others) or _LITERAL.search(body) is not None


def _closing(code: str, position: int) -> int:
    """Where the parenthesis closes that was opened before a position."""
    depth = 1
    for index in range(position, len(code)):
        depth += (code[index] in "([{") - (code[index] in ")]}")
        if not depth:
            return index
    return len(code)


def most_items(value: Any) -> int:
    """How many items the largest list or object in a JSON value has."""
    most, stack = 0, [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            most = max(most, len(part))
            stack.extend(part.values())
        elif isinstance(part, (list, tuple)):
            most = max(most, len(part))
            stack.extend(part)
    return most
