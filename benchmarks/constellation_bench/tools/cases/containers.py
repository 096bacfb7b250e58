"""Parameters that hold several values, and alternatives."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Optional, Union

from pydantic import Field

from ..case import Calls, Group, Refused, Spec, got

GROUP = Group("containers")
case = GROUP.case


@case
def a_list_of_integers() -> Spec:
    def f(xs: list[int]) -> None:
        got(xs)

    bad: Refused = [{"xs": ["a"]}, {"xs": 1}, {"xs": {"0": 1}}, {"xs": [None]}]
    return Spec(function=f, good=[({"xs": [1, 2]}, ([1, 2],)), ({"xs": []}, ([],))], bad=bad)


@case
def a_list_of_anything() -> Spec:
    def f(xs: list) -> None:  # type: ignore[type-arg]
        got(xs)

    return Spec(function=f, good=[({"xs": [1, "a", None]}, ([1, "a", None],))], bad=[{"xs": {}}, {"xs": 3}])


@case
def a_list_within_bounds() -> Spec:
    def f(xs: Annotated[list[str], Field(min_length=1, max_length=2)]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": ["a"]}, (["a"],))], bad=[{"xs": []}, {"xs": ["a", "b", "c"]}])


@case
def a_tuple_of_fixed_types() -> Spec:
    def f(pair: tuple[int, str]) -> None:
        got(pair)

    bad: Refused = [{"pair": [1]}, {"pair": [1, "a", 2]}, {"pair": ["a", "a"]}]
    return Spec(function=f, good=[({"pair": [1, "a"]}, ((1, "a"),))], bad=bad)


@case
def a_tuple_of_any_length() -> Spec:
    def f(xs: tuple[int, ...]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": [1, 2]}, ((1, 2),)), ({"xs": []}, ((),))], bad=[{"xs": ["a"]}])


@case
def a_set() -> Spec:
    def f(xs: set[int]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": [2, 1]}, ({1, 2},))], bad=[{"xs": ["a"]}, {"xs": 1}])


@case
def a_frozen_set() -> Spec:
    def f(xs: frozenset[str]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": ["a"]}, (frozenset({"a"}),))], bad=[{"xs": [1]}])


@case
def a_map_to_integers() -> Spec:
    def f(counts: dict[str, int]) -> None:
        got(counts)

    good: Calls = [({"counts": {"a": 1}}, ({"a": 1},)), ({"counts": {}}, ({},))]
    return Spec(function=f, good=good, bad=[{"counts": {"a": "x"}}, {"counts": [1]}])


@case
def a_map_of_anything() -> Spec:
    def f(data: dict) -> None:  # type: ignore[type-arg]
        got(data)

    return Spec(function=f, good=[({"data": {"a": [None]}}, ({"a": [None]},))], bad=[{"data": [1]}])


@case
def a_map_with_integer_keys() -> Spec:
    def f(names: dict[int, str]) -> None:
        got(names)

    return Spec(function=f, good=[({"names": {"1": "a"}}, ({1: "a"},))], unsaid=[{"names": {"x": "a"}}])


@case
def a_mapping() -> Spec:
    def f(counts: Mapping[str, int]) -> None:
        got(dict(counts))

    return Spec(function=f, good=[({"counts": {"a": 1}}, ({"a": 1},))], bad=[{"counts": {"a": "x"}}])


@case
def a_sequence() -> Spec:
    def f(xs: Sequence[int]) -> None:
        got(list(xs))

    return Spec(function=f, good=[({"xs": [1]}, ([1],))], bad=[{"xs": ["a"]}, {"xs": "ab"}])


@case
def an_iterable_that_is_checked_before_the_call() -> Spec:
    def f(xs: Iterable[int]) -> None:
        got("called")
        list(xs)

    return Spec(function=f, good=[({"xs": [1]}, ("called",))], bad=[{"xs": [1, "a"]}])


@case
def a_deque() -> Spec:
    def f(xs: collections.deque[int]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": [1]}, (collections.deque([1]),))], bad=[{"xs": ["a"]}])


@case
def lists_in_maps_in_lists() -> Spec:
    def f(table: list[dict[str, list[float]]]) -> None:
        got(table)

    good: Calls = [({"table": [{"a": [1, 2.5]}]}, ([{"a": [1.0, 2.5]}],))]
    return Spec(function=f, good=good, bad=[{"table": [{"a": ["x"]}]}, {"table": [{"a": 1}]}])


@case
def a_value_or_none() -> Spec:
    def f(n: Optional[int]) -> None:  # noqa: UP045
        got(n)

    return Spec(function=f, good=[({"n": None}, (None,)), ({"n": 1}, (1,))], bad=[{"n": "x"}, {}])


@case
def a_value_or_none_by_default() -> Spec:
    def f(n: int | None = None) -> None:
        got(n)

    return Spec(function=f, good=[({}, (None,)), ({"n": 1}, (1,)), ({"n": None}, (None,))], bad=[{"n": "x"}])


@case
def an_integer_or_text() -> Spec:
    def f(x: Union[int, str]) -> None:  # noqa: UP007
        got(x)

    return Spec(function=f, good=[({"x": 1}, (1,)), ({"x": "1"}, ("1",))], bad=[{"x": None}, {"x": [1]}])


@case
def a_list_or_text_where_text_stays_text() -> Spec:
    def f(x: list[int] | str) -> None:
        got(x)

    return Spec(function=f, good=[({"x": [1]}, ([1],)), ({"x": "[1]"}, ("[1]",))], bad=[{"x": 1}])


@case
def a_list_of_alternatives() -> Spec:
    def f(xs: list[int | bool | None]) -> None:
        got(xs)

    return Spec(function=f, good=[({"xs": [1, None, True]}, ([1, None, True],))], bad=[{"xs": ["a"]}])


@case
def a_map_of_anything_by_text() -> Spec:
    def f(data: dict[str, Any]) -> None:
        got(data)

    good: Calls = [({"data": {"a": None, "b": {"c": 1}}}, ({"a": None, "b": {"c": 1}},))]
    return Spec(function=f, good=good, bad=[{"data": []}, {}])
