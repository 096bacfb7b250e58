"""Questions about a whole graph, for planners, reports and people: none of it is on the path of a running star."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .constellation import TaskConstellation, stars_by_state
from .line import TaskStarLine
from .star import StarId
from .states import SETTLED, StarState
from .work import Approval

if TYPE_CHECKING:
    import networkx as nx

EXACT_WIDTH_LIMIT = 2_000
"""Up to how many stars `width` is exact."""

_NAMED = 5
"""How many stars `blocked` names for each one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A graph in figures.

    Attributes:
        stars: How many there are.
        lines: How many there are.
        states: How many stars are in each state, without the states that none is in.
        roots: How many stars wait for nothing.
        leaves: How many stars nothing waits for.
        depth: How many layers there are: stars on the longest way.
        width: How many stars could run at once; see `width`.
    """

    stars: int
    lines: int
    states: Mapping[str, int]
    roots: int
    leaves: int
    depth: int
    width: int


def to_networkx(graph: TaskConstellation) -> nx.DiGraph[StarId]:
    """A copy for networkx: stars by id with `name`, `kind` and `state`; lines with `trigger` and `when`."""
    import networkx as nx

    made: nx.DiGraph[StarId] = nx.DiGraph(name=graph.name)
    for star in graph:
        spec = graph[star]
        made.add_node(star, name=spec.title, kind=spec.work.kind, state=graph.state(star).value)
    for line in graph.lines:
        made.add_edge(line.source, line.target, trigger=line.trigger.value, when=line.when)
    return made


def critical_path(
    graph: TaskConstellation, durations: Mapping[StarId, float] | None = None
) -> tuple[list[StarId], float]:
    """The longest way through a graph: its stars and its length.

    Args:
        graph: Any graph.
        durations: Seconds that stars take, 0 for those that are not in it; None counts 1 for each star.
    """
    length: dict[StarId, float] = {}
    before: dict[StarId, StarId | None] = {}
    for star in graph.in_order():
        sources = [line.source for line in graph.lines_into(star)]
        longest = max(sources, key=length.__getitem__, default=None)
        before[star] = longest
        own = 1.0 if durations is None else durations.get(star, 0.0)
        length[star] = own + (length[longest] if longest is not None else 0.0)
    step = max(length, key=length.__getitem__, default=None)
    if step is None:
        return [], 0.0
    total = length[step]
    path = []
    while step is not None:
        path.append(step)
        step = before[step]
    return path[::-1], total


def layers(graph: TaskConstellation) -> list[list[StarId]]:
    """Stars in layers: each in the first one that comes after all the stars that it waits for."""
    level: dict[StarId, int] = {}
    made: list[list[StarId]] = []
    for star in graph.in_order():
        level[star] = index = max((level[line.source] + 1 for line in graph.lines_into(star)), default=0)
        if index == len(made):
            made.append([])
        made[index].append(star)
    return made


def width(graph: TaskConstellation) -> int:
    """How many stars could run at once: the size of the largest set in which none waits for another.

    Up to EXACT_WIDTH_LIMIT stars it is exact. For more it is the size of the largest layer, which is never too large.
    """
    if len(graph) > EXACT_WIDTH_LIMIT:
        return max(map(len, layers(graph)))
    # Dilworth: the largest antichain has as many stars as the fewest chains that cover all, and a maximum matching
    # of stars to stars behind them says how many of the stars are followed by another in their chain.
    return len(graph) - _maximum_matching(_behind(graph))


def _behind(graph: TaskConstellation) -> list[int]:
    """For each star, in topological order, the stars behind it as bits of a number."""
    order = graph.in_order()
    place = {star: index for index, star in enumerate(order)}
    behind = [0] * len(order)
    for index in range(len(order) - 1, -1, -1):
        bits = 0
        for line in graph.lines_from(order[index]):
            target = place[line.target]
            bits |= 1 << target | behind[target]
        behind[index] = bits
    return behind


def _maximum_matching(choices: list[int]) -> int:
    """The most pairs in which each left side takes one of its choices (bits) and no choice is taken twice."""
    taken_by = [-1] * len(choices)
    takes = [-1] * len(choices)
    usable = free = (1 << len(choices)) - 1
    pairs = 0
    for start in range(len(choices)):
        asked_by: dict[int, int] = {}
        unseen, queue, goal = usable, [start], -1
        for left in queue:
            found = choices[left] & unseen
            if found & free:
                goal = _lowest(found & free)
                asked_by[goal] = left
                break
            unseen ^= found
            while found:
                right = _lowest(found)
                found &= found - 1
                asked_by[right] = left
                queue.append(taken_by[right])
        if goal < 0:
            usable = unseen  # what a failed search has seen can't be part of a later success
            continue
        pairs += 1
        free ^= 1 << goal
        while goal >= 0:  # each left side on the way passes its choice on to the one that asked for it
            left = asked_by[goal]
            taken_by[goal], takes[left], goal = left, goal, takes[left]
    return pairs


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def transitive_reduction(graph: TaskConstellation) -> list[TaskStarLine]:
    """The fewest lines that keep every star behind those that it waits for, for drawing; triggers are not looked at."""
    import networkx as nx

    kept = nx.transitive_reduction(to_networkx(graph)).edges
    return [line for line in graph.lines if (line.source, line.target) in kept]


def blocked(graph: TaskConstellation) -> dict[StarId, str]:
    """For each star that has not ended, what it waits for, in words."""
    return {star: _waits_for(graph, star) for star in graph if graph.state(star) not in SETTLED}


def _waits_for(graph: TaskConstellation, star: StarId) -> str:
    state = graph.state(star)
    if state is StarState.RUNNING and isinstance(graph[star].work, Approval):
        return "waits for a person's answer"
    if state is not StarState.PENDING:
        return _PROGRESS[state]
    waits = [_ahead(graph, source) for source in graph.waiting_for(star)]
    if not waits:
        return "waits for the run to begin"
    more = f" and {len(waits) - _NAMED} more" if len(waits) > _NAMED else ""
    return f"waits for {', '.join(waits[:_NAMED])}{more}"


def _ahead(graph: TaskConstellation, source: StarId) -> str:
    state = graph.state(source)
    return f"the review of {source!r}" if state in SETTLED else f"{source!r} ({state.value})"


_PROGRESS = {
    StarState.READY: "is ready and waits for a device",
    StarState.ASSIGNED: "was given to a device and has not started",
    StarState.RUNNING: "is running",
}


def summary(graph: TaskConstellation) -> Summary:
    """A graph in figures."""
    return Summary(
        stars=len(graph),
        lines=graph.line_count,
        states=stars_by_state(graph),
        roots=sum(not graph.lines_into(star) for star in graph),
        leaves=sum(not graph.lines_from(star) for star in graph),
        depth=len(layers(graph)),
        width=width(graph),
    )


def executed_width(intervals: Iterable[tuple[float, float]]) -> int:
    """The largest number of intervals, each from start to end, that overlap.

    One that ends where another starts does not overlap with it. One without length counts at its instant.

    Raises:
        ValueError: an interval ends before it starts.
    """
    steps: list[tuple[float, int, int]] = []
    for start, end in intervals:
        if not start <= end:
            raise ValueError(f"the interval from {start} to {end} ends before it starts")
        steps += (start, 1, 1), (end, 0 if end > start else 2, -1)
    most = running = 0
    for _, _, change in sorted(steps):
        running += change
        most = max(most, running)
    return most
