"""Tables of plain text, in columns."""

from __future__ import annotations

from collections.abc import Sequence

from .sanitise import visible

CELL_LIMIT = 60


def aligned(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines with aligned columns; the last column takes what room it needs.

    Args:
        head: The names of the columns.
        rows: As many cells in each; made safe to print here.
    """
    last = len(head) - 1
    cells = [[visible(cell, limit=None if at == last else CELL_LIMIT) for at, cell in enumerate(row)] for row in rows]
    table = [list(head), *cells]
    widths = [max(len(row[at]) for row in table) for at in range(last)]
    return ["  ".join([*(row[at].ljust(widths[at]) for at in range(last)), row[last]]).rstrip() for row in table]
