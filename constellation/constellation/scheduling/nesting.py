"""Nested constellations: what the run of one begins with, and what its end is to its parent."""

from __future__ import annotations

from ..graph import StarError, StarState
from . import events as ev
from .attempt_rules import UNKNOWN_STARS, is_outcome_unknown
from .commands import StartNested
from .events import RunOptions
from .run import RunMachine


def begin_nested(parent: RunMachine, command: StartNested) -> ev.RunStarted:
    """The start of a nested run, which is carried out as its parent is."""
    options = RunOptions(
        cancel_grace_s=parent.options.cancel_grace_s,
        timeout_margin_s=parent.options.timeout_margin_s,
        max_losses=parent.options.max_losses,
    )
    return ev.RunStarted(parent.at, command.child, command.constellation, options, (command.run, command.star))


def end_nested(child: RunMachine) -> ev.NestedEnded:
    """What the end of a nested run is to its parent: the outputs of its last stars, or why it did not succeed."""
    assert child.parent is not None
    run, star = child.parent
    graph = child.graph
    if child.state == "succeeded":
        ends = [inner for inner in graph if not graph.lines_from(inner)]
        outcomes = {inner: graph.outcome(inner) for inner in ends if graph.state(inner) is StarState.SUCCEEDED}
        output = {inner: outcome.output for inner, outcome in outcomes.items() if outcome}
        return ev.NestedEnded(child.at, run, star, output, child=child.run)
    errors = {
        inner: outcome.error
        for inner in graph
        if graph.state(inner) is StarState.FAILED and (outcome := graph.outcome(inner)) and outcome.error
    }
    shown = "; ".join(f"{inner}: {error.message}" for inner, error in list(errors.items())[:5])
    details: dict[str, object] = {"stars": {inner: error.message for inner, error in errors.items()}}
    unknown = [inner for inner, error in errors.items() if is_outcome_unknown(error)]
    if unknown:
        details[UNKNOWN_STARS] = unknown
    error = StarError("NestedFailed", f"the nested run has {child.state}: {shown}", details)
    return ev.NestedEnded(child.at, run, star, error=error, child=child.run)
