"""Saying what each star that has not ended is waiting for."""

from __future__ import annotations

from ..graph import IN_FLIGHT, SETTLED, StarId, StarState, TaskConstellation


def explain_waiting(graph: TaskConstellation) -> dict[StarId, str]:
    """For each star that has not ended, what it waits for, in words."""
    return {star: _explain(graph, star) for star in graph if graph.state(star) not in SETTLED}


def _explain(graph: TaskConstellation, star: StarId) -> str:
    state = graph.state(star)
    if state in IN_FLIGHT:
        return f"is {state.value}"
    if state is StarState.READY:
        return "waits for a device"
    open_sources = graph.waiting_for(star)
    if open_sources:
        shown = ", ".join(
            f"{source!r} ({graph.state(source).value}{', held for review' if graph.is_held(source) else ''})"
            for source in open_sources[:5]
        )
        more = f" and {len(open_sources) - 5} more" if len(open_sources) > 5 else ""
        return f"waits for {shown}{more}"
    return "waits for the review of a star before it to end"
