"""What schemas say in words, and defaults."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..case import Calls, Group, Says, Spec, got

GROUP = Group("descriptions")
case = GROUP.case

GOOD: Calls = [({"city": "Rome", "days": 2}, ("Rome", 2))]
SAYS: Says = {"city": {"description": "Where it is."}, "days": {"description": "How many to look ahead."}}


class Colour(enum.Enum):
    RED = "red"


@dataclass
class ByGoogle:
    """A place.

    Attributes:
        x: To the right.
    """

    x: int


@dataclass
class BySphinx:
    """A place.

    :param x: To the right.
    """

    x: int


@case
def a_docstring_in_googles_style() -> Spec:
    def f(city: str, days: int) -> None:
        """Forecast the weather.

        Args:
            city: Where it is.
            days (int): How many to
                look ahead.
        """
        got(city, days)

    return Spec(function=f, good=GOOD, bad=[{}], says=SAYS, description="Forecast the weather.")


@case
def a_docstring_in_numpys_style() -> Spec:
    def f(city: str, days: int) -> None:
        """Forecast the weather.

        Parameters
        ----------
        city : str
            Where it is.
        days : int, optional
            How many to
            look ahead.
        """
        got(city, days)

    return Spec(function=f, good=GOOD, bad=[{}], says=SAYS, description="Forecast the weather.")


@case
def a_docstring_in_sphinxs_style() -> Spec:
    def f(city: str, days: int) -> None:
        """Forecast the weather.

        :param city: Where it is.
        :param int days: How many to
            look ahead.
        """
        got(city, days)

    return Spec(function=f, good=GOOD, bad=[{}], says=SAYS, description="Forecast the weather.")


@case
def a_description_beside_the_type() -> Spec:
    def f(city: Annotated[str, Field(description="Where it is.")]) -> None:
        """Forecast.

        Args:
            city: Something else.
        """
        got(city)

    return Spec(function=f, good=[({"city": "R"}, ("R",))], says={"city": {"description": "Where it is."}})


@case
def words_beside_the_type() -> Spec:
    def f(city: Annotated[str, "Where it is."]) -> None:
        got(city)

    return Spec(function=f, good=[({"city": "R"}, ("R",))], says={"city": {"description": "Where it is."}})


@case
def fields_by_googles_style() -> Spec:
    def f(place: ByGoogle, note: str = "") -> None:
        got(place)

    good: Calls = [({"place": {"x": 1}}, (ByGoogle(1),))]
    return Spec(function=f, good=good, says={"place": {"properties": {"x": {"description": "To the right."}}}})


@case
def fields_by_sphinxs_style() -> Spec:
    def f(place: BySphinx, note: str = "") -> None:
        got(place)

    good: Calls = [({"place": {"x": 1}}, (BySphinx(1),))]
    return Spec(function=f, good=good, says={"place": {"properties": {"x": {"description": "To the right."}}}})


@case
def defaults_are_shown_and_kept() -> Spec:
    def f(text: str, limit: int = 10, where: Path = Path("a"), colour: Colour = Colour.RED) -> None:
        got(text, limit, where, colour)

    says: Says = {"limit": {"default": 10}, "where": {"default": "a"}, "colour": {"default": "red"}}
    given: dict[str, Any] = {"text": "t", "limit": 3, "where": "b", "colour": "red"}
    good: Calls = [({"text": "t"}, ("t", 10, Path("a"), Colour.RED)), (given, ("t", 3, Path("b"), Colour.RED))]
    return Spec(function=f, good=good, bad=[{"limit": 1}], says=says)


@case
def a_default_that_json_does_not_have() -> Spec:
    nothing = object()

    def f(x: Any = nothing) -> None:
        got(x is nothing)

    return Spec(function=f, good=[({}, (True,)), ({"x": 1}, (False,))])


@case
def bounds_and_a_default_in_one() -> Spec:
    def f(n: int = Field(2, ge=1, description="How many.")) -> None:
        got(n)

    says: Says = {"n": {"default": 2, "minimum": 1, "description": "How many."}}
    return Spec(function=f, good=[({"n": 3}, (3,)), ({}, (2,))], bad=[{"n": 0}], says=says)


@case
def a_default_that_nobody_may_change_for_others() -> Spec:
    def f(xs: list[int], seen: Annotated[list[int], Field(default_factory=list)]) -> None:
        got(list(seen))
        seen.append(1)

    # Called twice with nothing: the second call has to find it empty as well.
    return Spec(function=f, good=[({"xs": []}, ([],)), ({"xs": []}, ([],))])
