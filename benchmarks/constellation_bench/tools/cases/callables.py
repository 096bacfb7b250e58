"""Callables of every shape, and parameters of every kind."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NotRequired

from typing_extensions import TypedDict, Unpack

from ..case import Calls, Group, Refused, Spec, got
from ..library import Library

GROUP = Group("callables")
case = GROUP.case

GOOD: Calls = [({"n": 2}, (2,))]
BAD: Refused = [{"n": "x"}, {}]


class Extra(TypedDict):
    depth: int
    label: NotRequired[str]


class Opaque:
    """Nothing that JSON could be made into."""


class Kit:
    """Methods of every kind."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, n: int) -> None:
        got(n, self.step)

    def method(self, n: int) -> None:
        got(n, self.step)

    async def later(self, n: int) -> None:
        got(n, self.step)

    @classmethod
    def of_class(cls, n: int) -> None:
        got(n, cls.__name__)

    @staticmethod
    def of_nobody(n: int) -> None:
        got(n)


def _logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@case
def an_async_function() -> Spec:
    async def f(n: int) -> None:
        got(n)

    return Spec(function=f, good=GOOD, bad=BAD)


@case
def a_method_of_an_object() -> Spec:
    return Spec(function=Kit(3).method, good=[({"n": 2}, (2, 3))], bad=BAD)


@case
def an_async_method_of_an_object() -> Spec:
    return Spec(function=Kit(3).later, good=[({"n": 2}, (2, 3))], bad=BAD)


@case
def a_method_of_a_class() -> Spec:
    return Spec(function=Kit.of_class, good=[({"n": 2}, (2, "Kit"))], bad=BAD)


@case
def a_static_method() -> Spec:
    return Spec(function=Kit.of_nobody, good=GOOD, bad=BAD)


@case
def an_object_that_can_be_called() -> Spec:
    return Spec(function=Kit(3), good=[({"n": 2}, (2, 3))], bad=BAD)


@case
def a_decorated_function() -> Spec:
    def f(n: int, m: int = 1) -> None:
        got(n, m)

    return Spec(function=_logged(f), good=[({"n": 2, "m": 5}, (2, 5)), ({"n": 2}, (2, 1))], bad=BAD)


@case
def a_partial_with_a_value_in_front() -> Spec:
    def f(secret: str, n: int) -> None:
        got(secret, n)

    return Spec(function=functools.partial(f, "s"), good=[({"n": 2}, ("s", 2))], bad=[*BAD, {"n": 2, "secret": "t"}])


@case
def a_partial_with_a_value_by_name() -> Spec:
    def f(n: int, secret: str) -> None:
        got(n, secret)

    made = functools.partial(f, secret="s")
    return Spec(function=made, good=[({"n": 2}, (2, "s"))], names=("n",), bad=[*BAD, {"n": 2, "secret": "t"}])


@case
def parameters_by_position_only() -> Spec:
    def f(a: int, b: int = 5, /) -> None:
        got(a, b)

    return Spec(function=f, good=[({"a": 1}, (1, 5)), ({"a": 1, "b": 2}, (1, 2))], bad=[{"a": "x"}, {"b": 1}])


@case
def parameters_by_name_only() -> Spec:
    def f(*, a: int, b: int = 5) -> None:
        got(a, b)

    return Spec(function=f, good=[({"a": 1}, (1, 5)), ({"b": 2, "a": 1}, (1, 2))], bad=[{"a": "x"}, {"b": 1}])


@case
def any_number_of_values() -> Spec:
    def f(a: int, *rest: int) -> None:
        got(a, rest)

    good: Calls = [({"a": 1, "rest": [2, 3]}, (1, (2, 3))), ({"a": 1}, (1, ()))]
    return Spec(function=f, good=good, bad=[{"a": 1, "rest": ["x"]}, {"a": 1, "rest": 2}])


@case
def any_names_with_values() -> Spec:
    def f(a: int, **more: int) -> None:
        got(a, more)

    # Either the names stand beside the others, or in an object under the parameter's name: both are clear.
    return Spec(function=f, good=[({"a": 1}, (1, {}))], names=("a",), unsaid=[{"a": "x"}, {"a": 1, "more": {"b": "x"}}])


@case
def names_with_values_by_a_typed_dict() -> Spec:
    def f(**options: Unpack[Extra]) -> None:
        got(options)

    good: Calls = [({"options": {"depth": 1, "label": "a"}}, ({"depth": 1, "label": "a"},))]
    return Spec(function=f, good=good, bad=[{"options": {"depth": "x"}}])


@case
def a_generator() -> Spec:
    def f(n: int) -> Iterator[int]:
        got(n)
        yield from range(n)

    return Spec(function=f, good=GOOD, bad=BAD)


@case
def an_async_generator() -> Spec:
    async def f(n: int) -> AsyncIterator[int]:
        got(n)
        for i in range(n):
            yield i

    return Spec(function=f, good=GOOD, bad=BAD)


@case
def a_function_without_annotations() -> Spec:
    def f(x, y=2):  # type: ignore[no-untyped-def]
        got(x, y)

    return Spec(function=f, good=[({"x": {"a": 1}, "y": 3}, ({"a": 1}, 3)), ({"x": None}, (None, 2))], bad=[{"y": 1}])


@GROUP.case_of_library
def a_context_that_is_given_by_the_library(library: Library) -> Spec:
    if library.context is None:
        return Spec(function=None)

    def f(ctx: Any, n: int) -> None:
        got(n)

    f.__annotations__["ctx"] = library.context
    return Spec(function=f, names=("n",))


@case
def a_callback_is_refused_by_name() -> Spec:
    def f(n: int, then: Callable[[int], int]) -> None:
        got(n)

    return Spec(function=f, refused="then")


@case
def an_opaque_class_is_refused_by_name() -> Spec:
    def f(n: int, thing: Opaque) -> None:
        got(n)

    return Spec(function=f, refused="thing")


@case
def a_class_as_a_value_is_refused_by_name() -> Spec:
    def f(n: int, kind: type[int]) -> None:
        got(n)

    return Spec(function=f, refused="kind")


@case
def an_annotation_that_is_no_type_is_refused_by_name() -> Spec:
    def f(n: int, thing: 1 + 1) -> None:  # type: ignore[valid-type]
        got(n)

    return Spec(function=f, refused="thing")
