"""What a chaos run carries out, and what is done to it: both follow from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from constellation import StarHandle, TaskConstellation

from ..overhead.dag import Dag, layered

LAYER = 50
"""How many stars a layer has; at least three."""

IDEMPOTENT_SHARE = 0.5

TOOLS = ("effect_in_process", "effect_on_loop")

CALM_STARS = 128
"""How many stars at the end are left in peace, at least: what is due has to be done before the run is over."""

CALM_SHARE = 0.05

MAX_DELAY_S = 0.2


@dataclass(frozen=True, slots=True)
class PlannedStar:
    """A star.

    Attributes:
        id: Its id.
        tool: The tool that it calls.
        idempotent: Whether it may be run twice.
        upstream: The stars that it waits for.
        work_s: How long it takes, in seconds.
    """

    id: str
    tool: str
    idempotent: bool
    upstream: tuple[str, ...]
    work_s: float


def plan_stars(count: int, *, seed: int, work_s: float) -> list[PlannedStar]:
    """That many stars in layers, each of which takes `work_s` on the average."""
    random = Random(f"stars {seed}")
    dag: Dag = layered(count, width=LAYER)
    return [
        PlannedStar(
            id=_id(number),
            tool=random.choice(TOOLS),
            idempotent=random.random() < IDEMPOTENT_SHARE,
            upstream=tuple(map(_id, upstream)),
            work_s=round(random.uniform(0, 2 * work_s), 4),
        )
        for number, upstream in enumerate(dag)
    ]


def _id(number: int) -> str:
    return f"star-{number}"


def make_graph(stars: list[PlannedStar]) -> TaskConstellation:
    """The graph of these stars.

    An idempotent star always succeeds in the end, and hands its result on. One that is not may end with its outcome
    unknown; what comes after it goes on in either case, and takes nothing from it.
    """
    graph = TaskConstellation("chaos")
    idempotent = {star.id: star.idempotent for star in stars}
    handles: dict[str, StarHandle] = {}
    for star in stars:
        handles[star.id] = graph.star(
            star.id,
            star.tool,
            idempotent=star.idempotent,
            star=star.id,
            seconds=star.work_s,
            inputs=[handles[source].output for source in star.upstream if idempotent[source]],
        )
        for source in star.upstream:
            if not idempotent[source]:
                graph.line(handles[source], handles[star.id], "completion")
    return graph


class Kind(StrEnum):
    """What is done."""

    KILL = "kill"
    """A process gets SIGKILL, and is started again."""
    CUT = "cut"
    """A connection between a device and a hub comes to an end."""
    FREEZE = "freeze"
    """The hub that works on the run gets SIGSTOP, and SIGCONT when another has taken the run over."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that is done to a run.

    Attributes:
        due: How many stars have to have ended before.
        delay_s: How long after that it is done, in seconds: at any moment of what then goes on.
        kind: What is done.
        target: Chooses what it is done to, among what is there: at least 0, less than 1.
        manner: Chooses how, where there are several ways: likewise.
    """

    due: int
    delay_s: float
    kind: Kind
    target: float
    manner: float


def plan_disturbances(stars: int, counts: Mapping[Kind, int], *, seed: int) -> list[Disturbance]:
    """What is done to a run of that many stars, in the order in which it is due."""
    random = Random(f"disturbances {seed}")
    last = max(stars - max(CALM_STARS, round(stars * CALM_SHARE)), stars // 2)

    def some(kind: Kind) -> Iterator[Disturbance]:
        for _ in range(counts.get(kind, 0)):
            due = random.randint(1, max(1, last))
            yield Disturbance(due, random.uniform(0, MAX_DELAY_S), kind, random.random(), random.random())

    return sorted((each for kind in Kind for each in some(kind)), key=lambda each: each.due)
