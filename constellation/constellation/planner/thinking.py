"""What is to be seen of a planner while its model answers: what it is at, and the stars that it has named so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic_core import from_json

from ..llm import ToolUseDelta
from .budget import Spent

Doing = Literal["plan", "edit", "answer"]
"""What a model is asked for."""

_NAMING = {"add_star": "id", "retry": "star", "rewire": "star", "update": "star"}
"""The calls that are about one star, and the argument that names it."""

_READ_CHARS = 4_096
"""How much of a call's arguments is read for the name: models write it first."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model at work.

    Attributes:
        doing: What it is asked for.
        star: A star that it has named just now; empty when it was asked, and when it has answered.
        answered: Whether it has.
        spent: What the planner has used by now.
    """

    doing: Doing
    star: str = ""
    answered: bool = False
    spent: Spent = field(default_factory=Spent)


Watch = Callable[[Thinking], None]
"""Is shown how a model gets on."""


def unwatched(thinking: Thinking) -> None:
    """Show it to nobody."""


class Names:
    """Finds the names of stars in the calls of an answer, as soon as they are whole."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str]] = {}
        self._found: set[int] = set()

    def take(self, delta: ToolUseDelta) -> str | None:
        """Take in more of a call; returns a name that has become known by it."""
        name, text = self._calls.get(delta.index, ("", ""))
        name, text = name or delta.name, (text + delta.arguments)[:_READ_CHARS]
        self._calls[delta.index] = (name, text)
        wanted = _NAMING.get(name)
        if wanted is None or delta.index in self._found:
            return None
        try:
            arguments = from_json(text, allow_partial=True)
        except ValueError:
            return None  # nothing that could be read yet, or ever: what is wrong with it is told when it is whole
        found = arguments.get(wanted) if isinstance(arguments, dict) else None
        if not isinstance(found, str):
            return None
        self._found.add(delta.index)
        return found
