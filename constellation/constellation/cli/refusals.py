"""Saying where in a workflow's file a star stands that no device can serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import BadInput

if TYPE_CHECKING:
    from ..orchestrator.errors import Problem

MAX_SHOWN = 20
"""How many problems are told."""


def refused(file: str, problems: Sequence[Problem]) -> BadInput:
    """The error that a workflow can't be run for these reasons, each with its place in the file."""
    lines = [_placed(file, problem) for problem in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        lines.append(f"and {len(problems) - MAX_SHOWN} more")
    return BadInput("\n".join(lines))


def _placed(file: str, problem: Problem) -> str:
    from ..graph import InvalidDocument
    from ..graph.files import place_in_file

    error = InvalidDocument(problem.message, path=("stars", problem.star, *problem.path))
    try:
        place_in_file(file, error)
    except InvalidDocument:
        error.file = file  # it has changed or gone since it was read; what was wrong with it still holds
    return str(error)
