"""Pieces of Markdown out of text that may be anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .sanitise import visible

CELL_LIMIT = 200

_MARKUP = frozenset("\\`*_{}[]<>#|~&$")
"""Characters that mean something to Markdown in the middle of a line."""


def plain(text: str, limit: int = CELL_LIMIT) -> str:
    """Text that stays text: on one line, and with nothing in it that Markdown or HTML would act on."""
    return "".join(f"\\{sign}" if sign in _MARKUP else sign for sign in visible(text, limit=limit))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The lines of a table; the cells are made plain here.

    Args:
        head: The names of the columns.
        rows: As many cells in each.
        right: The columns that are aligned at the right, by number.
    """
    rules = ["---:" if column in right else "---" for column in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(rules)} |"]
    return lines + [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """A heading and what stands below it, or nothing when that is nothing."""
    return [f"## {title}", "\n".join(lines)] if lines else []
