"""Parameters of one simple value."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

from pydantic import Field

from ..case import Calls, Group, Refused, Says, Spec, got

GROUP = Group("scalars")
case = GROUP.case


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Permission(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


UserId = NewType("UserId", int)


@case
def an_integer() -> Spec:
    def f(n: int) -> None:
        got(n)

    bad: Refused = [{"n": "many"}, {"n": 1.5}, {"n": None}, {"n": [1]}, {}]
    return Spec(function=f, good=[({"n": 3}, (3,))], lenient=[({"n": "3"}, (3,))], bad=bad)


@case
def a_number() -> Spec:
    def f(x: float) -> None:
        got(x)

    return Spec(function=f, good=[({"x": 2}, (2.0,)), ({"x": 1.5}, (1.5,))], bad=[{"x": "wide"}, {"x": {}}])


@case
def a_boolean() -> Spec:
    def f(on: bool) -> None:
        got(on)

    return Spec(
        function=f, good=[({"on": True}, (True,)), ({"on": False}, (False,))], bad=[{"on": "maybe"}, {"on": []}]
    )


@case
def text() -> Spec:
    def f(s: str) -> None:
        got(s)

    good: Calls = [({"s": "é [1]"}, ("é [1]",)), ({"s": "12"}, ("12",)), ({"s": ""}, ("",))]
    return Spec(function=f, good=good, bad=[{"s": 12}, {"s": None}, {"s": ["a"]}])


@case
def no_parameters() -> Spec:
    def f() -> None:
        got()

    return Spec(function=f, good=[({}, ())])


@case
def a_choice_of_texts() -> Spec:
    def f(by: Literal["foot", "bike"]) -> None:
        got(by)

    return Spec(function=f, good=[({"by": "bike"}, ("bike",))], bad=[{"by": "car"}, {"by": 1}])


@case
def a_choice_of_values_of_several_types() -> Spec:
    def f(x: Literal["auto", 2]) -> None:
        got(x)

    return Spec(function=f, good=[({"x": "auto"}, ("auto",)), ({"x": 2}, (2,))], bad=[{"x": "2"}, {"x": 3}])


@case
def an_enum_of_texts() -> Spec:
    def f(colour: Colour) -> None:
        got(colour)

    return Spec(function=f, good=[({"colour": "red"}, (Colour.RED,))], bad=[{"colour": "RED"}, {"colour": "green"}])


@case
def an_enum_of_integers() -> Spec:
    def f(level: Level) -> None:
        got(level)

    return Spec(function=f, good=[({"level": 2}, (Level.HIGH,))], bad=[{"level": 3}, {"level": "HIGH"}])


@case
def flags_that_are_combined() -> Spec:
    def f(may: Permission) -> None:
        got(may)

    good: Calls = [({"may": 4}, (Permission.RUN,)), ({"may": 3}, (Permission.READ | Permission.WRITE,))]
    return Spec(function=f, good=good, bad=[{"may": 8}, {"may": "READ"}])


@case
def an_integer_within_bounds() -> Spec:
    def f(n: Annotated[int, Field(ge=1, lt=10, multiple_of=3)]) -> None:
        got(n)

    return Spec(function=f, good=[({"n": 9}, (9,))], bad=[{"n": 0}, {"n": 12}, {"n": 4}])


@case
def text_of_a_length_and_pattern() -> Spec:
    def f(code: Annotated[str, Field(min_length=2, max_length=3, pattern="^[A-Z]+$")]) -> None:
        got(code)

    return Spec(function=f, good=[({"code": "AB"}, ("AB",))], bad=[{"code": "A"}, {"code": "ABCD"}, {"code": "ab"}])


@case
def a_new_type() -> Spec:
    def f(user: UserId) -> None:
        got(user)

    return Spec(function=f, good=[({"user": 7}, (7,))], bad=[{"user": "someone"}])


@case
def anything() -> Spec:
    def f(x: Any) -> None:
        got(x)

    good: Calls = [
        ({"x": 1}, (1,)),
        ({"x": None}, (None,)),
        ({"x": {"a": [1]}}, ({"a": [1]},)),
        ({"x": "[1]"}, ("[1]",)),
    ]
    return Spec(function=f, good=good, bad=[{}])


@case
def a_date() -> Spec:
    def f(day: dt.date) -> None:
        got(day)

    good: Calls = [({"day": "2024-02-29"}, (dt.date(2024, 2, 29),))]
    says: Says = {"day": {"type": "string", "format": "date"}}
    return Spec(function=f, good=good, unsaid=[{"day": "2023-02-29"}, {"day": "soon"}], bad=[{"day": []}], says=says)


@case
def a_moment() -> Spec:
    def f(at: dt.datetime) -> None:
        got(at.astimezone(dt.UTC).isoformat())

    good: Calls = [({"at": "2024-01-02T03:04:05+01:00"}, ("2024-01-02T02:04:05+00:00",))]
    says: Says = {"at": {"type": "string", "format": "date-time"}}
    return Spec(function=f, good=good, unsaid=[{"at": "noon"}], bad=[{"at": {}}], says=says)


@case
def a_time_of_day() -> Spec:
    def f(at: dt.time) -> None:
        got(at)

    says: Says = {"at": {"type": "string", "format": "time"}}
    return Spec(function=f, good=[({"at": "03:04:05"}, (dt.time(3, 4, 5),))], unsaid=[{"at": "25:00"}], says=says)


@case
def a_duration() -> Spec:
    def f(length: dt.timedelta) -> None:
        got(length)

    says: Says = {"length": {"type": "string", "format": "duration"}}
    good: Calls = [({"length": "PT90S"}, (dt.timedelta(seconds=90),))]
    return Spec(function=f, good=good, unsaid=[{"length": "a while"}], says=says)


@case
def a_uuid() -> Spec:
    def f(key: uuid.UUID) -> None:
        got(key)

    text = "12345678-1234-5678-1234-567812345678"
    says: Says = {"key": {"type": "string", "format": "uuid"}}
    return Spec(function=f, good=[({"key": text}, (uuid.UUID(text),))], unsaid=[{"key": "none"}], says=says)


@case
def a_decimal() -> Spec:
    def f(price: decimal.Decimal) -> None:
        got(price)

    good: Calls = [({"price": "1.50"}, (decimal.Decimal("1.50"),)), ({"price": 2}, (decimal.Decimal(2),))]
    return Spec(function=f, good=good, unsaid=[{"price": "cheap"}], bad=[{"price": []}])


@case
def a_path() -> Spec:
    def f(file: Path) -> None:
        got(file)

    return Spec(function=f, good=[({"file": "a/b.txt"}, (Path("a/b.txt"),))], bad=[{"file": 1}])


@case
def bytes_of_text() -> Spec:
    def f(data: bytes) -> None:
        got(data)

    return Spec(function=f, good=[({"data": "ab"}, (b"ab",))], bad=[{"data": [1]}])
