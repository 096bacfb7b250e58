"""Calls as models make them: nearly right, and wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from ..case import Calls, Group, Refused, Spec, got

GROUP = Group("calls")
case = GROUP.case


@dataclass
class Item:
    name: str
    count: int = 1


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def is_even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("has to be even")
        return n


@case
def a_list_as_json_text() -> Spec:
    def f(xs: list[int]) -> None:
        got(xs)

    lenient: Calls = [({"xs": "[1, 2]"}, ([1, 2],))]
    return Spec(function=f, good=[({"xs": [1]}, ([1],))], lenient=lenient, bad=[{"xs": "[1"}, {"xs": '["a"]'}])


@case
def an_object_as_json_text() -> Spec:
    def f(item: Item, note: str = "") -> None:
        got(item)

    lenient: Calls = [({"item": '{"name": "a", "count": 2}'}, (Item("a", 2),))]
    good: Calls = [({"item": {"name": "a"}}, (Item("a"),))]
    return Spec(function=f, good=good, lenient=lenient, bad=[{"item": "a"}, {"item": '{"count": 2}'}])


@case
def json_text_within_a_list() -> Spec:
    def f(items: list[Item]) -> None:
        got(items)

    lenient: Calls = [({"items": ['{"name": "a"}', {"name": "b"}]}, ([Item("a"), Item("b")],))]
    good: Calls = [({"items": [{"name": "a"}]}, ([Item("a")],))]
    return Spec(function=f, good=good, lenient=lenient, bad=[{"items": ["a"]}])


@case
def json_text_for_a_list_or_nothing() -> Spec:
    def f(xs: list[int] | None = None) -> None:
        got(xs)

    lenient: Calls = [({"xs": "[1]"}, ([1],))]
    return Spec(function=f, good=[({"xs": [1]}, ([1],)), ({}, (None,))], lenient=lenient, bad=[{"xs": "none"}])


@case
def numbers_and_booleans_as_text() -> Spec:
    def f(n: int, x: float, on: bool) -> None:
        got(n, x, on)

    good: Calls = [({"n": 1, "x": 1.5, "on": True}, (1, 1.5, True))]
    lenient: Calls = [({"n": "1", "x": "1.5", "on": "true"}, (1, 1.5, True))]
    return Spec(function=f, good=good, lenient=lenient, bad=[{"n": "one", "x": 1.5, "on": True}])


@case
def text_that_looks_like_json_stays_text() -> Spec:
    def f(s: str, t: str | None = None) -> None:
        got(s, t)

    return Spec(function=f, good=[({"s": '{"a": 1}', "t": "null"}, ('{"a": 1}', "null")), ({"s": "1"}, ("1", None))])


@case
def an_argument_that_nobody_knows() -> Spec:
    def f(n: int) -> None:
        got(n)

    return Spec(function=f, good=[({"n": 1}, (1,))], bad=[{"n": 1, "m": 2}, {"m": 1}])


@case
def an_argument_that_is_missing() -> Spec:
    def f(a: int, b: int, c: int = 3) -> None:
        got(a, b, c)

    return Spec(function=f, good=[({"a": 1, "b": 2, "c": 4}, (1, 2, 4))], bad=[{"a": 1}, {"c": 1}, {}])


@case
def null_for_a_default_that_is_not() -> Spec:
    def f(n: int = 3) -> None:
        got(n)

    return Spec(function=f, good=[({"n": 1}, (1,)), ({}, (3,))], bad=[{"n": None}])


@case
def an_item_that_is_wrong_deep_within() -> Spec:
    def f(items: list[dict[str, Item]]) -> None:
        got(items)

    good: Calls = [({"items": [{"a": {"name": "b"}}]}, ([{"a": Item("b")}],))]
    return Spec(function=f, good=good, bad=[{"items": [{"a": {"name": "b"}}, {"a": {"name": 1}}]}])


@case
def a_rule_of_the_class_itself() -> Spec:
    def f(even: Even, note: str = "") -> None:
        got(even.n)

    return Spec(function=f, good=[({"even": {"n": 2}}, (2,))], unsaid=[{"even": {"n": 3}}])


@case
def parameters_with_names_that_pydantic_uses() -> Spec:
    def f(schema: str, json: int, copy: bool, model_config: str, title: str) -> None:
        got(schema, json, copy, model_config, title)

    given: dict[str, Any] = {"schema": "a", "json": 1, "copy": True, "model_config": "b", "title": "c"}
    return Spec(function=f, good=[(given, ("a", 1, True, "b", "c"))], bad=[{**given, "json": "x"}])


@case
def parameters_with_names_that_python_seldom_has() -> Spec:
    def f(größe: int, _hidden: str, self_: bool) -> None:
        got(größe, _hidden, self_)

    given: dict[str, Any] = {"größe": 1, "_hidden": "a", "self_": True}
    return Spec(function=f, good=[(given, (1, "a", True))], bad=[{**given, "größe": "x"}])


@case
def many_parameters() -> Spec:
    def f(
        a: int, b: str, c: list[int], d: dict[str, str], e: Annotated[float, Field(gt=0)], g: bool = False, h: int = 1
    ) -> None:
        got(a, b, c, d, e, g, h)

    given: dict[str, Any] = {"a": 1, "b": "x", "c": [1], "d": {"k": "v"}, "e": 0.5, "g": True, "h": 2}
    bad: Refused = [{**given, "c": [1, "x"]}, {**given, "d": {"k": 1}}, {**given, "e": 0}]
    return Spec(function=f, good=[(given, (1, "x", [1], {"k": "v"}, 0.5, True, 2))], bad=bad)
