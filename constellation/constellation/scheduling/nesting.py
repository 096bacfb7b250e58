"""Nested constellations: what the run of one begins with, what it is called, and what its end is to its parent."""

from __future__ import annotations

from hashlib import blake2b

from ..graph import StarError, StarId, StarState
from . import events as ev
from .commands import StartNested
from .events import RunId, RunOptions
from .run import RunMachine

_LONGEST_NESTED_ID = 60
"""How long the readable form of a nested run's id may be: an attempt's id, made of it, has 200 at most."""


def nested_id(run: RunId, star: StarId) -> RunId:
    """The id of the run of a nested constellation: no two stars share one, and it fits into an attempt's id."""
    plain = f"{run}:{star}"
    if ":" not in star and len(plain) <= _LONGEST_NESTED_ID:
        return RunId(plain)
    return RunId(f"{run.partition(':')[0]}::{blake2b(plain.encode(), digest_size=16).hexdigest()}")


def begin_nested(parent: RunMachine, command: StartNested) -> ev.RunStarted:
    """The start of a nested run, which is carried out as its parent is."""
    options = RunOptions(
        cancel_grace_s=parent.options.cancel_grace_s,
        timeout_margin_s=parent.options.timeout_margin_s,
        max_losses=parent.options.max_losses,
    )
    run = nested_id(command.run, command.star)
    return ev.RunStarted(parent.at, run, command.constellation, options, (command.run, command.star))


def end_nested(child: RunMachine) -> ev.NestedEnded:
    """What the end of a nested run is to its parent: the outputs of its last stars, or why it did not succeed."""
    assert child.parent is not None
    run, star = child.parent
    graph = child.graph
    if child.state == "succeeded":
        ends = [inner for inner in graph if not graph.lines_from(inner)]
        outcomes = {inner: graph.outcome(inner) for inner in ends if graph.state(inner) is StarState.SUCCEEDED}
        return ev.NestedEnded(
            child.at, run, star, {inner: outcome.output for inner, outcome in outcomes.items() if outcome}
        )
    causes = {
        inner: outcome.error.message
        for inner in graph
        if graph.state(inner) is StarState.FAILED and (outcome := graph.outcome(inner)) and outcome.error
    }
    shown = "; ".join(f"{inner}: {message}" for inner, message in list(causes.items())[:5])
    error = StarError("NestedFailed", f"the nested run has {child.state}: {shown}", {"stars": causes})
    return ev.NestedEnded(child.at, run, star, error=error)
