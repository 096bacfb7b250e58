"""Random graphs and random edits of them, from a given source of chance."""

from __future__ import annotations

from random import Random

from ..graph import (
    AddLine,
    AddStar,
    Approval,
    EditBatch,
    Nested,
    Operation,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarId,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateLine,
    UpdateStar,
    Work,
)
from ..graph.documents import dump

MAX_DEPTH = 2
"""How deep constellations are nested."""

CONDITIONS = ("output.n < 3", "output.n < 3", "output.n >= 0", "output.missing > 1")
"""Conditions of lines, over what fake devices return; the last one can't be evaluated."""


def random_star(rng: Random, id: str, sources: list[str], *, depth: int = 0) -> TaskStar:
    """A star of any kind of work, whose arguments may refer to some of `sources`."""
    work = _random_work(rng, sources, depth)
    return TaskStar(
        StarId(id),
        work,
        requires=rng.choice([{}, {}, {}, {"os": "linux"}, {"gpu": 0.5}, {"gpu": 1}]),
        device=rng.choice([None] * 12 + ["d0"]),
        # A device may hang, and only a limit ends that; people and nested runs come to an end by themselves.
        timeout_s=rng.choice([1.0, 3, 3.0] if isinstance(work, ToolCall) else [None, 3]),
        retry=RetryPolicy(rng.choice([1, 1, 3]), rng.choice([0.2, 2.0]), on=rng.choice([(), ("Flaky",)])),
        priority=rng.randrange(3),
        idempotent=rng.choice([None, None, True, False]),
    )


def _random_work(rng: Random, sources: list[str], depth: int) -> Work:
    arguments = {"x": {"$ref": f"{rng.choice(sources)}#/n"}} if sources and rng.random() < 0.3 else {}
    choice = rng.random()
    if choice < 0.12:
        return Approval("May I?", arguments)
    if choice < 0.22 and depth < MAX_DEPTH:
        return Nested(dump(random_graph(rng, rng.randint(1, 2), depth=depth + 1)), arguments)
    nowhere = rng.random() < 0.03
    return ToolCall("nowhere" if nowhere else rng.choice(["pure", "pure", "effect"]), arguments)


def random_line(rng: Random, source: str, target: str) -> TaskStarLine:
    """A line with any trigger."""
    trigger = rng.choice([Trigger.SUCCESS] * 5 + [Trigger.COMPLETION] * 2 + [Trigger.FAILURE, Trigger.WHEN])
    when = rng.choice(CONDITIONS) if trigger is Trigger.WHEN else None
    return TaskStarLine(StarId(source), StarId(target), trigger, when)


def random_graph(rng: Random, stars: int, *, depth: int = 0) -> TaskConstellation:
    """A graph of so many stars, some of them nested constellations."""
    graph = TaskConstellation("random")
    for number in range(stars):
        before = [f"s{earlier}" for earlier in range(number)]
        id = f"s{number}"
        graph.apply(EditBatch((AddStar(random_star(rng, id, before[-4:], depth=depth)),)))
        for source in rng.sample(before, min(len(before), rng.randrange(3))):
            if source not in {line.source for line in graph.lines_into(id)}:
                graph.apply(EditBatch((AddLine(random_line(rng, source, id)),)))
    return graph


def random_batch(rng: Random, graph: TaskConstellation, *, base: int | None = None, author: str = "") -> EditBatch:
    """A batch that may well be refused: into stars that have begun, of stars that are gone, closing cycles."""
    stars: list[str] = list(graph) or ["s0"]
    operations: list[Operation] = []
    for _ in range(rng.randint(1, 3)):
        one, other = rng.choice(stars), rng.choice(stars)
        match rng.randrange(7):
            case 0:
                operations.append(AddStar(random_star(rng, f"s{rng.randrange(20)}", stars, depth=1)))
            case 1:
                operations.append(UpdateStar(random_star(rng, one, [], depth=1)))
            case 2:
                operations.append(RemoveStar(StarId(one)))
            case 3:
                operations += [RemoveStar(StarId(one)), AddStar(random_star(rng, one, [], depth=1))]
            case 4 if one != other:
                operations.append(AddLine(random_line(rng, one, other)))
            case 5 if graph.lines:
                line = rng.choice(graph.lines)
                operations.append(RemoveLine(line.source, line.target))
            case _ if graph.lines:
                line = rng.choice(graph.lines)
                operations.append(UpdateLine(random_line(rng, line.source, line.target)))
    return EditBatch(tuple(operations), base, author, "to see what happens")
