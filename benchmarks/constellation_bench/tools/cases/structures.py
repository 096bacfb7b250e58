"""Parameters that are classes with fields."""

from __future__ import annotations

import datetime as dt
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType, TypedDict

from ..case import Calls, Group, Spec, got
from ..library import Library

GROUP = Group("structures")
case = GROUP.case

T = TypeVar("T")
Number = TypeVar("Number", bound=float)
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | float | bool | None")


@dataclass
class Point:
    x: float
    y: float = 0.5


@dataclass
class Route:
    stops: list[Point]
    tags: list[str] = field(default_factory=list)


class Person(BaseModel):
    name: str = Field(min_length=1)
    born: dt.date | None = None


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Box(BaseModel, Generic[T]):
    content: T


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)
    day: dt.date
    size: tuple[int, int]


class Renamed(BaseModel):
    class_: str = Field(alias="class")


class Options(TypedDict):
    depth: int
    follow: NotRequired[bool]


class StandardOptions(typing.TypedDict):
    depth: int
    follow: NotRequired[bool]


class Pair(NamedTuple):
    left: int
    right: str = "r"


@case
def a_dataclass() -> Spec:
    def f(p: Point, note: str = "") -> None:
        got(p)

    good: Calls = [({"p": {"x": 1, "y": 2}}, (Point(1.0, 2.0),)), ({"p": {"x": 1}}, (Point(1.0, 0.5),))]
    return Spec(function=f, good=good, bad=[{"p": {"y": 1}}, {"p": {"x": "far"}}, {"p": [1, 2]}])


@case
def dataclasses_in_dataclasses() -> Spec:
    def f(route: Route, note: str = "") -> None:
        got(route)

    good: Calls = [({"route": {"stops": [{"x": 1}]}}, (Route([Point(1.0)], []),))]
    return Spec(function=f, good=good, bad=[{"route": {"stops": [{}]}}, {"route": {"stops": {}}}])


@case
def a_model() -> Spec:
    def f(who: Person, note: str = "") -> None:
        got(who)

    good: Calls = [({"who": {"name": "Ann", "born": "2000-01-02"}}, (Person(name="Ann", born=dt.date(2000, 1, 2)),))]
    return Spec(function=f, good=good, bad=[{"who": {"name": ""}}, {"who": {}}, {"who": "Ann"}])


@case
def a_model_that_refers_to_itself() -> Spec:
    def f(tree: Tree, note: str = "") -> None:
        got(tree)

    good: Calls = [({"tree": {"value": 1, "children": [{"value": 2}]}}, (Tree(value=1, children=[Tree(value=2)]),))]
    return Spec(function=f, good=good, bad=[{"tree": {"value": 1, "children": [{"value": "x"}]}}])


@case
def models_told_apart_by_a_field() -> Spec:
    def f(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None:
        got(pet)

    good: Calls = [({"pet": {"kind": "dog", "name": "Rex"}}, (Dog(kind="dog", name="Rex"),))]
    return Spec(function=f, good=good, bad=[{"pet": {"kind": "cow"}}, {"pet": {"kind": "dog"}}])


@case
def models_as_alternatives() -> Spec:
    def f(pet: Cat | Dog, note: str = "") -> None:
        got(pet)

    good: Calls = [
        ({"pet": {"kind": "cat"}}, (Cat(kind="cat"),)),
        ({"pet": {"kind": "dog", "name": "R"}}, (Dog(kind="dog", name="R"),)),
    ]
    return Spec(function=f, good=good, bad=[{"pet": {"kind": "dog"}}, {"pet": {}}])


@case
def a_generic_model() -> Spec:
    def f(box: Box[int], note: str = "") -> None:
        got(box.content)

    return Spec(function=f, good=[({"box": {"content": 1}}, (1,))], bad=[{"box": {"content": "x"}}])


@case
def a_strict_model_by_its_json() -> Spec:
    def f(exact: Exact, note: str = "") -> None:
        got(exact)

    good: Calls = [({"exact": {"day": "2024-01-02", "size": [1, 2]}}, (Exact(day=dt.date(2024, 1, 2), size=(1, 2)),))]
    return Spec(function=f, good=good, bad=[{"exact": {"day": "2024-01-02", "size": [1, "2"]}}])


@case
def a_field_under_an_alias() -> Spec:
    def f(item: Renamed, note: str = "") -> None:
        got(item.class_)

    return Spec(function=f, good=[({"item": {"class": "a"}}, ("a",))], bad=[{"item": {"class_": "a"}}])


@case
def a_typed_dict() -> Spec:
    def f(options: Options, note: str = "") -> None:
        got(options)

    good: Calls = [
        ({"options": {"depth": 1}}, ({"depth": 1},)),
        ({"options": {"depth": 1, "follow": True}}, ({"depth": 1, "follow": True},)),
    ]
    return Spec(function=f, good=good, bad=[{"options": {"follow": True}}, {"options": {"depth": "x"}}])


@case
def the_standard_librarys_typed_dict() -> Spec:
    def f(options: StandardOptions, note: str = "") -> None:
        got(options)

    return Spec(function=f, good=[({"options": {"depth": 1}}, ({"depth": 1},))], bad=[{"options": {"follow": True}}])


@case
def a_named_tuple() -> Spec:
    def f(pair: Pair, note: str = "") -> None:
        got(pair)

    return Spec(function=f, good=[({"pair": [1, "a"]}, (Pair(1, "a"),))], bad=[{"pair": ["x", "a"]}, {"pair": []}])


@case
def a_type_variable_with_a_bound() -> Spec:
    def f(x: Number) -> None:
        got(x)

    return Spec(function=f, good=[({"x": 1.5}, (1.5,))], bad=[{"x": "wide"}])


@case
def an_alias_that_refers_to_itself() -> Spec:
    def f(data: Json) -> None:
        got(data)

    good: Calls = [({"data": {"a": [1, None, {"b": "c"}]}}, ({"a": [1, None, {"b": "c"}]},))]
    return Spec(function=f, good=good, bad=[{}])


@GROUP.case_of_library
def classes_that_are_local_to_a_function(library: Library) -> Spec:
    @dataclass
    class Leaf:
        n: int

    @dataclass
    class Branch:
        leaves: list[Leaf]
        below: Branch | None = None

    def f(branch: Branch, leaf: Leaf | None = None) -> None:
        got(branch, leaf)

    given: dict[str, Any] = {"branch": {"leaves": [{"n": 1}], "below": {"leaves": []}}, "leaf": None}
    good: Calls = [(given, (Branch([Leaf(1)], Branch([])), None))]
    return Spec(function=f, made=library.make(f), good=good, bad=[{"branch": {"leaves": [{"n": "x"}]}}])


@case
def a_class_that_stands_further_down() -> Spec:
    def f(later: Later, note: str = "") -> None:
        got(later)

    return Spec(function=f, good=[({"later": {"n": 1}}, (Later(1),))], bad=[{"later": {"n": "x"}}])


@dataclass
class Later:
    n: int
