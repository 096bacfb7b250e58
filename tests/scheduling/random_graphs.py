"""Random graphs and random edits, from a given source of randomness."""

from __future__ import annotations

from random import Random

from constellation.graph import (
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
from constellation.graph.documents import dump


def random_star(rng: Random, id: str, sources: list[str], *, depth: int = 0) -> TaskStar:
    work = _random_work(rng, sources, depth)
    return TaskStar(
        StarId(id),
        work,
        requires=rng.choice([{}, {}, {}, {"os": "linux"}, {"gpu": 0.5}, {"gpu": 1}]),
        device=rng.choice([None] * 12 + ["d0"]),
        # A device may hang, and only a limit ends that; people and nested runs come to an end by themselves.
        timeout_s=rng.choice([1.0, 4.0, 4.0] if isinstance(work, ToolCall) else [None, 4.0]),
        retry=RetryPolicy(rng.choice([1, 1, 3]), rng.choice([0.2, 3.0]), on=rng.choice([(), ("Flaky",)])),
        priority=rng.randrange(3),
        idempotent=rng.choice([None, None, True, False]),
    )


def _random_work(rng: Random, sources: list[str], depth: int) -> Work:
    arguments = {"x": {"$ref": f"{rng.choice(sources)}#/n"}} if sources and rng.random() < 0.3 else {}
    choice = rng.random()
    if choice < 0.12:
        return Approval("May I?", arguments)
    if choice < 0.24 and depth < 2:
        return Nested(dump(random_graph(rng, rng.randint(0, 3), depth=depth + 1)), arguments)
    return ToolCall(rng.choice(["pure", "pure", "effect"] + ["nowhere"] * (rng.random() < 0.05)), arguments)


def random_line(rng: Random, source: str, target: str) -> TaskStarLine:
    trigger = rng.choice([Trigger.SUCCESS] * 5 + [Trigger.COMPLETION] * 2 + [Trigger.FAILURE, Trigger.WHEN])
    when = (
        rng.choice(["output.n < 3", "output.n < 3", "output.n >= 0", "output.missing > 1"])
        if trigger is Trigger.WHEN
        else None
    )
    return TaskStarLine(StarId(source), StarId(target), trigger, when)


def random_graph(rng: Random, stars: int, *, depth: int = 0) -> TaskConstellation:
    graph = TaskConstellation("random")
    for number in range(stars):
        before = [f"s{earlier}" for earlier in range(number)]
        id = f"s{number}"
        graph.apply(EditBatch((AddStar(random_star(rng, id, before[-4:], depth=depth)),)))
        for source in rng.sample(before, min(len(before), rng.randrange(3))):
            if source not in {line.source for line in graph.lines_into(id)}:
                graph.apply(EditBatch((AddLine(random_line(rng, source, id)),)))
    return graph


def random_batch(rng: Random, graph: TaskConstellation) -> EditBatch:
    """A batch that may well be refused."""
    stars: list[str] = list(graph) or ["s0"]
    operations: list[Operation] = []
    for _ in range(rng.randint(1, 3)):
        one, other = rng.choice(stars), rng.choice(stars)
        new = f"s{rng.randrange(30)}"
        match rng.randrange(7):
            case 0:
                operations.append(AddStar(random_star(rng, new, stars)))
            case 1:
                operations.append(UpdateStar(random_star(rng, one, [])))
            case 2:
                operations.append(RemoveStar(StarId(one)))
            case 3:
                operations += [RemoveStar(StarId(one)), AddStar(random_star(rng, one, []))]
            case 4 if one != other:
                operations.append(AddLine(random_line(rng, one, other)))
            case 5 if graph.lines:
                line = rng.choice(graph.lines)
                operations.append(RemoveLine(line.source, line.target))
            case _ if graph.lines:
                line = rng.choice(graph.lines)
                operations.append(UpdateLine(random_line(rng, line.source, line.target)))
    base = rng.choice([None, graph.version, max(0, graph.version - 1)])
    return EditBatch(tuple(operations), base, "someone", "to see what happens")
