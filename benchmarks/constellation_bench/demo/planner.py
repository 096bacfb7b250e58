"""The demo's planner: the worst modules found so far get a deeper look, while other scans still run.

It keeps no state, and decides by the star that has ended and the graph alone, so that a run which is taken up by
another process is planned on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from constellation import EditBatch, Output, Review, StarState, TaskConstellation, TaskStar, ToolCall
from constellation.graph import StarId
from constellation.graph.star import slug

from .findings import SCAN_SUMMARY, StrainedModule
from .plan import ANALYSIS_TIMEOUT_S, ANALYSTS, LOOK_TOOL, MERGE, RETRY, SCAN_TOOL

WORST = 4
"""A module gets a deeper look when it is among this many worst ones at the time."""
MAX_LOOKS = 10
"""How many modules get one; reviews that go on at the same time may exceed it by what each of them adds."""
LOOK_PRIORITY = 5
"""Looks go before the merge's other inputs: the merge waits for them too."""

_GIVEN_UP = frozenset({StarState.FAILED, StarState.CANCELLED, StarState.SKIPPED})


def plan_looks(review: Review) -> EditBatch | None:
    """Add deeper looks after a scan; after a look that has failed, let the merge do without it."""
    tool = _tool(review.star)
    if tool == SCAN_TOOL and review.state is StarState.SUCCEEDED:
        return _look_deeper(review)
    if tool == LOOK_TOOL:
        return _account_for(review)
    return None


def _look_deeper(review: Review) -> EditBatch | None:
    graph = review.graph
    chosen = choose(review.star.id, graph)
    if not chosen:
        return None
    edit = review.edit(f"the worst modules so far: {', '.join(module.module for module in chosen)}")
    added = [
        edit.star(
            f"look at {module.module}",
            LOOK_TOOL,
            id=look_id(module),
            description=f"{module.strain} lines in functions that are too long",
            requires=ANALYSTS,
            timeout_s=ANALYSIS_TIMEOUT_S,
            retry=RETRY,
            priority=LOOK_PRIORITY,
            after=[review.star.id],
            root=_work(review.star).arguments["root"],
            file=module.file,
        ).id
        for module in chosen
    ]
    edit.update(MERGE, work=_merging(graph, [*_promising(graph), *added]))
    return _regardless(edit.build())


def _account_for(review: Review) -> EditBatch | None:
    """After a look: have the merge take all looks that can still come to something.

    Two reviews at the same time may each leave out the star that the other one adds. The last review before the merge
    can begin is one of a scan or a look, sees all of them, and so the merge gets them all.
    """
    graph = review.graph
    given_up = review.state in _GIVEN_UP
    work = _merging(graph, _promising(graph))
    if work == graph[MERGE].work and not given_up:
        return None
    edit = review.edit(f"{review.star.title} has {review.state.value}" if given_up else "the merge takes all looks")
    edit.update(MERGE, work=work)
    if given_up and any(line.source == review.star.id for line in graph.lines_into(MERGE)):
        edit.remove_line(review.star.id, MERGE)
    return _regardless(edit.build())


def _regardless(batch: EditBatch) -> EditBatch:
    """Let a batch apply whatever was edited meanwhile: all of ours touch the merge, and none is spoiled by another."""
    return replace(batch, base_version=None)


def choose(scan: str, graph: TaskConstellation) -> list[StrainedModule]:
    """The modules of a scan that are among the worst of all that have been found so far, and have no look yet."""
    room = MAX_LOOKS - sum(1 for star in graph if _tool(graph[star]) == LOOK_TOOL)
    found = [
        (module, star)
        for star in graph
        if _tool(graph[star]) == SCAN_TOOL and graph.state(star) is StarState.SUCCEEDED
        for module in _worst_of(star, graph)
    ]
    found.sort(key=lambda item: (-item[0].strain, item[0].module))
    new = [module for module, star in found[:WORST] if star == scan and look_id(module) not in graph]
    return new[: max(room, 0)]


def look_id(module: StrainedModule) -> str:
    """The id of the star that looks deeper into a module."""
    return slug(f"look-{module.module}")


def _worst_of(star: StarId, graph: TaskConstellation) -> list[StrainedModule]:
    outcome = graph.outcome(star)
    return SCAN_SUMMARY.validate_python(outcome.output).worst if outcome is not None else []


def _promising(graph: TaskConstellation) -> list[StarId]:
    return [star for star in graph if _tool(graph[star]) == LOOK_TOOL and graph.state(star) not in _GIVEN_UP]


def _merging(graph: TaskConstellation, looks: Iterable[StarId]) -> ToolCall:
    work = _work(graph[MERGE])
    arguments: dict[str, Any] = {**work.arguments, "looks": [Output(look).as_json() for look in looks]}
    return replace(work, arguments=arguments)


def _work(star: TaskStar) -> ToolCall:
    assert isinstance(star.work, ToolCall)
    return star.work


def _tool(star: TaskStar) -> str | None:
    return star.work.tool if isinstance(star.work, ToolCall) else None
