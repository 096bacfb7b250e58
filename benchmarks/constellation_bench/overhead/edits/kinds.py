"""The kinds of edits that figures tell apart, by name."""

from __future__ import annotations

ALONG = "add along"
"""A line from a layer to a later one."""

ACROSS = "add across"
"""A line between two stars of which neither reaches the other."""

REMOVE = "remove"

ADVERSARIAL = "adversarial"
"""A line that asks as much of the order as can be."""

CLOSING = "close a cycle"
"""A line from a star back to one that it waits for, which is refused with a shortest way between the two."""

SINGLE = "one line"
"""The single edit that batches are compared with; it is of the kind ALONG."""

CYCLE = "then a cycle"
UNKNOWN_STAR = "then an unknown star"
UNDONE = "undone"
LINES = "lines"
STARS = "stars"

REFUSED_LINES = f"{LINES}, {CYCLE}"
"""The batches that are like the single edit, and are refused for what only the graph can tell."""
