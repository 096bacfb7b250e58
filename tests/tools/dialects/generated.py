"""Signatures out of a source of chance, each with a way to make arguments that fit it.

The source may be `random.Random(seed)`, for a fixed corpus, or hypothesis's `randoms()`, which shrinks.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import uuid
from collections.abc import Callable
from dataclasses import field, make_dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, NotRequired, Optional, Union, get_args

from pydantic import BaseModel, Field, create_model
from typing_extensions import TypedDict

from constellation_tools import Tool

Json = Any
Make = Callable[[Random], Json]
Kind = tuple[Any, Make]
"""A type, and a maker of JSON that fits it."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Tree(BaseModel):
    """A tree."""

    value: int
    children: list[Tree] = []
    label: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    tags: list[str] = []


def _tree(rng: Random, depth: int = 0) -> Json:
    tree: dict[str, Json] = {"value": rng.randint(-5, 5)}
    if depth < 2 and rng.random() < 0.5:
        tree["children"] = [_tree(rng, depth + 1) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.4:
        tree["label"] = rng.choice(["a", None])
    return tree


def _pet(rng: Random) -> Json:
    if rng.random() < 0.5:
        return {"kind": "cat", **({"lives": rng.randint(0, 9)} if rng.random() < 0.5 else {})}
    return {"kind": "dog", "name": _text(rng), **({"tags": [_text(rng)]} if rng.random() < 0.5 else {})}


def _text(rng: Random) -> str:
    return "".join(rng.choice('abz 09é"\\\n{}[]') for _ in range(rng.randint(0, 6)))


SCALARS: list[Kind] = [
    (int, lambda rng: rng.randint(-1000, 1000)),
    (float, lambda rng: rng.randint(-1000, 1000) / 8),
    (bool, lambda rng: rng.random() < 0.5),
    (str, _text),
    (Annotated[int, Field(ge=0, lt=10)], lambda rng: rng.randint(0, 9)),
    (Annotated[float, Field(gt=0.5, description="A share.")], lambda rng: 1 + rng.randint(0, 8) / 8),
    (Annotated[str, Field(min_length=1, max_length=3)], lambda rng: rng.choice(["a", "bc", "def"])),
    (Annotated[str, Field(pattern="^[a-c]+$")], lambda rng: rng.choice(["a", "bc"])),
    (Literal["x", "y"], lambda rng: rng.choice(["x", "y"])),
    (Literal["only"], lambda rng: "only"),
    (Literal[1, 2, "z"], lambda rng: rng.choice([1, 2, "z"])),
    (Literal[1, 3], lambda rng: rng.choice([1, 3])),
    (Colour, lambda rng: rng.choice(["red", "blue"])),
    (Level, lambda rng: rng.choice([1, 2])),
    (dt.date, lambda rng: f"2020-01-{rng.randint(10, 28)}"),
    (dt.datetime, lambda rng: f"2020-01-01T00:00:{rng.randint(10, 59)}Z"),
    (dt.timedelta, lambda rng: f"PT{rng.randint(1, 59)}M"),
    (uuid.UUID, lambda rng: str(uuid.UUID(int=rng.randint(0, 2**64)))),
    (decimal.Decimal, lambda rng: f"{rng.randint(0, 99)}.5"),
    (Path, lambda rng: rng.choice(["a", "a/b"])),
]
OTHERS: list[Kind] = [
    (Tree, _tree),
    (Annotated[Cat | Dog, Field(discriminator="kind")], _pet),
    (Cat | Dog, _pet),
    (Any, lambda rng: rng.choice([1, "a", None, [1], {"a": None}])),
    (list, lambda rng: rng.choice([[], [1, "a"], [{"a": None}]])),
    (dict, lambda rng: rng.choice([{}, {"a": None, "b": [1]}])),
]


def some_type(rng: Random, depth: int = 0) -> Kind:
    """Draw a type."""
    roll = rng.randint(0, 19)
    if depth >= 3 or roll < 9:
        return rng.choice(SCALARS)
    if roll < 11:
        return rng.choice(OTHERS)
    makers = (_list, _set, _fixed, _map, _optional, _union, _dataclass, _typed_dict, _model)
    return makers[roll - 11](rng, depth + 1)


def _list(rng: Random, depth: int) -> Kind:
    annotation, make = some_type(rng, depth)
    whole = rng.choice([list[annotation], tuple[annotation, ...], Annotated[list[annotation], Field(max_length=3)]])
    return whole, lambda rng: [make(rng) for _ in range(rng.randint(0, 3))]


def _set(rng: Random, depth: int) -> Kind:
    return rng.choice([set[int], frozenset[int]]), lambda rng: sorted({rng.randint(0, 9) for _ in range(3)})


def _fixed(rng: Random, depth: int) -> Kind:
    kinds = [some_type(rng, depth) for _ in range(rng.randint(1, 3))]
    return tuple[tuple(annotation for annotation, _ in kinds)], lambda rng: [make(rng) for _, make in kinds]  # type: ignore[misc]


def _map(rng: Random, depth: int) -> Kind:
    annotation, make = some_type(rng, depth)
    return dict[str, annotation], lambda rng: {rng.choice("abc"): make(rng) for _ in range(rng.randint(0, 2))}


def _optional(rng: Random, depth: int) -> Kind:
    annotation, make = some_type(rng, depth)
    return Optional[annotation], lambda rng: make(rng) if rng.random() < 0.7 else None  # noqa: UP045 - of any type


def _union(rng: Random, depth: int) -> Kind:
    kinds = [rng.choice(SCALARS[:4]), some_type(rng, depth)]
    return Union[tuple(annotation for annotation, _ in kinds)], lambda rng: rng.choice(kinds)[1](rng)  # type: ignore[return-value]  # noqa: UP007 - of any types


def _members(rng: Random, depth: int) -> tuple[dict[str, Kind], set[str]]:
    members = {name: some_type(rng, depth) for name in ("a", "b", "c")[: rng.randint(1, 3)]}
    return members, {name for name in members if rng.random() < 0.4}


def _maker(members: dict[str, Kind], optional: set[str]) -> Make:
    def make(rng: Random) -> Json:
        return {name: make(rng) for name, (_, make) in members.items() if name not in optional or rng.random() < 0.5}

    return make


def _default(kind: Kind, rng: Random) -> Any:
    """A default of the type; None where JSON is no value of it."""
    annotation, make = kind
    plain = (int, float, bool, str)
    members = set(get_args(annotation))
    as_it_is = annotation in plain or any(members == {each, type(None)} for each in plain)
    return make(rng) if as_it_is else None


def _typed_dict(rng: Random, depth: int) -> Kind:
    members, optional = _members(rng, depth)
    make: Any = TypedDict
    annotations = {name: NotRequired[kind[0]] if name in optional else kind[0] for name, kind in members.items()}
    return make(f"Options{rng.randint(0, 10**6)}", annotations), _maker(members, optional)


def _model(rng: Random, depth: int) -> Kind:
    members, optional = _members(rng, depth)
    fields: dict[str, Any] = {
        name: (kind[0], _default(kind, rng)) if name in optional else (kind[0], ...) for name, kind in members.items()
    }
    return create_model(f"Model{rng.randint(0, 10**6)}", **fields), _maker(members, optional)


def _dataclass(rng: Random, depth: int) -> Kind:
    members, optional = _members(rng, depth)
    fields = [
        (name, kind[0], field(default=_default(kind, rng), kw_only=True))
        if name in optional
        else (name, kind[0], field(kw_only=True))
        for name, kind in members.items()
    ]
    return make_dataclass(f"Data{rng.randint(0, 10**6)}", fields), _maker(members, optional)


class Generated:
    """A tool of a drawn signature, which returns what it was called with, defaults included."""

    def __init__(self, rng: Random) -> None:
        names = ("one", "two", "three", "four")[: rng.randint(1, 4)]
        self.members = {name: some_type(rng) for name in names}
        self.optional = {name for name in names if rng.random() < 0.4}
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_default(kind, rng) if name in self.optional else inspect.Parameter.empty,
                annotation=kind[0],
            )
            for name, kind in self.members.items()
        ]
        signature = inspect.Signature(parameters)
        self.received: list[dict[str, Any]] = []

        def drawn(**given: Any) -> None:
            bound = signature.bind(**given)
            bound.apply_defaults()
            self.received.append(dict(bound.arguments))

        drawn.__signature__ = signature  # type: ignore[attr-defined]
        self.tool = Tool.from_function(drawn)

    def arguments(self, rng: Random) -> dict[str, Json]:
        """Arguments that fit."""
        made: dict[str, Json] = _maker(self.members, self.optional)(rng)
        return made

    def received_for(self, arguments: dict[str, Json]) -> dict[str, Any]:
        """What the function gets when it is called with these arguments."""
        self.tool.call_sync(arguments)
        return self.received.pop()
