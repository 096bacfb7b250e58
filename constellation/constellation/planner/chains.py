"""Whether a plan lets run at once what could: stars in a row that do not use one another's outputs."""

from __future__ import annotations

from ..graph import Approval, TaskConstellation, TaskStarLine, Trigger
from ..graph.references import find_references

SHORTEST = 3
"""How many stars in a row are worth a question; two may well have an order of their own."""


def idle_chain(graph: TaskConstellation) -> list[str]:
    """The longest row of stars each of which waits for the one before without using its output.

    Empty when none is as long as `SHORTEST`. An approval is waited for on purpose, and so is a failure, or a condition.
    """
    best: dict[str, list[str]] = {}
    for star in graph.in_order():
        longest: list[str] = []
        used: set[str] = {reference.star for reference in find_references(graph[star].work.arguments)}
        for line in graph.lines_into(star):
            if _is_idle(graph, line, used) and len(best[line.source]) > len(longest):
                longest = best[line.source]
        best[star] = [*longest, star]
    chain = max(best.values(), key=len, default=[])
    return chain if len(chain) >= SHORTEST else []


def _is_idle(graph: TaskConstellation, line: TaskStarLine, used: set[str]) -> bool:
    ends = (graph[line.source].work, graph[line.target].work)
    return (
        line.trigger is Trigger.SUCCESS and line.source not in used and not any(isinstance(e, Approval) for e in ends)
    )
