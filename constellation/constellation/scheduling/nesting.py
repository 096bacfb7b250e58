"""Nested constellations: how the run of one begins, what its end is to its parent, and its stars seen from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..graph import Nested, StarError, StarId, StarState
from . import events as ev
from .attempt_rules import UNKNOWN_STARS, is_outcome_unknown
from .commands import StartNested
from .errors import NotWaiting
from .events import RunId
from .run import RunMachine


def begin_nested(parent: RunMachine, command: StartNested) -> ev.RunStarted:
    """The start of a nested run, which is carried out as its parent is."""
    options = replace(parent.options, deadline_s=None, review=False)
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


def is_wanted(parent: RunMachine, child: RunMachine) -> bool:
    """Whether the star that a nested run was started for still waits for it."""
    assert child.parent is not None
    star = child.parent[1]
    return (
        star in parent.graph and parent.graph.state(star) is StarState.RUNNING and parent.nested_run(star) == child.run
    )


def seen_from_outside(
    runs: Mapping[RunId, RunMachine], inner: RunMachine, star: StarId
) -> Iterator[tuple[RunId, StarId]]:
    """The runs around a nested one, innermost first, each with what it calls the star: `<outer star>/<inner star>`."""
    path, machine = star, inner
    while machine.parent is not None and machine.parent[0] in runs:
        outer, outer_star = machine.parent
        path, machine = StarId(f"{outer_star}/{path}"), runs[outer]
        yield outer, path


def find_inside(runs: Mapping[RunId, RunMachine], outer: RunMachine, path: str) -> tuple[RunId, StarId]:
    """The run and the star that a path stands for, which may lead into constellations that are going on.

    Raises:
        NotWaiting: it leads nowhere.
    """
    *way, star = path.split("/")
    machine: RunMachine | None = outer
    for step in map(StarId, way):
        if machine is None or step not in machine.graph or machine.graph.state(step) is not StarState.RUNNING:
            raise NotWaiting(path)
        if not isinstance(machine.graph[step].work, Nested):
            raise NotWaiting(path)
        machine = runs.get(machine.nested_run(step))
    if machine is None:
        raise NotWaiting(path)
    return machine.run, StarId(star)
