"""A second look at refused arguments: JSON text at any depth, and types that are strict about Python's values."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from constellation_tools import Artifact, InvalidArguments, ToolContext, tool


@dataclass
class Item:
    name: str
    tags: list[str] | None = None


class Pair(NamedTuple):
    left: int
    right: str


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)

    day: dt.date
    size: tuple[int, int]


@tool
def take(
    items: list[Item] | None = None,
    table: dict[str, list[int]] | None = None,
    pair: Pair | None = None,
    exact: Exact | None = None,
    words: str | list[str] = "",
    numbers: set[int] = frozenset(),  # type: ignore[assignment]
) -> None:
    """Take things."""


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"items": '[{"name": "a"}]'}, {"items": [Item("a")]}),
        ({"items": ['{"name": "a"}']}, {"items": [Item("a")]}),
        ({"items": [{"name": "a", "tags": '["x"]'}]}, {"items": [Item("a", ["x"])]}),
        ({"items": '["{\\"name\\": \\"a\\", \\"tags\\": \\"[]\\"}"]'}, {"items": [Item("a", [])]}),
        ({"table": {"a": "[1]", "b": [2]}}, {"table": {"a": [1], "b": [2]}}),
        ({"pair": '[1, "a"]'}, {"pair": Pair(1, "a")}),
        ({"numbers": "[1, 1]"}, {"numbers": {1}}),
        ({"words": '["a"]'}, {"words": '["a"]'}),
        ({"exact": {"day": "2024-01-02", "size": [1, 2]}}, {"exact": Exact(day=dt.date(2024, 1, 2), size=(1, 2))}),
        ({"exact": '{"day": "2024-01-02", "size": [1, 2]}'}, {"exact": Exact(day=dt.date(2024, 1, 2), size=(1, 2))}),
    ],
    ids=str,
)
def test_json_text_and_strict_types_are_taken_at_the_second_look(given: Any, taken: Any) -> None:
    before = json.dumps(given)
    assert take.validate(given) == taken
    assert json.dumps(given) == before, "the caller's arguments are left as they are"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"items": '[{"name": 1}]'}, "items[0].name: expected a valid string, got number 1"),
        ({"items": '[{"nam": "a"}]'}, "items[0].name: expected a value, it is required, got nothing"),
        ({"items": "["}, 'items: expected a valid list, got string "["'),
        ({"items": '"[]"'}, 'items: expected a valid list, got string "\\"[]\\""'),
        ({"table": {"a": "[x]"}}, 'table.a: expected a valid list, got string "[x]"'),
        ({"exact": {"day": "2024-01-02", "size": [1, "2"]}}, "exact.size"),
        ({"exact": {"day": "someday", "size": [1, 2]}}, "exact.day"),
    ],
    ids=str,
)
def test_what_does_not_fit_at_the_second_look_either_is_told_as_the_model_sent_it_or_by_what_was_in_it(
    given: Any, problem: str
) -> None:
    with pytest.raises(InvalidArguments) as caught:
        take.validate(given)
    assert problem in str(caught.value)


def test_json_text_that_is_nested_in_json_text_ends_somewhere() -> None:
    text: Any = []
    for _ in range(20):
        text = json.dumps([text])

    @tool
    def nested(x: list[list[list[int]]]) -> None: ...

    with pytest.raises(InvalidArguments, match="x"):
        nested.validate({"x": text})


def test_values_that_are_no_json_do_not_stop_the_problems_from_being_told() -> None:
    with pytest.raises(InvalidArguments, match=r"items: expected a valid list, got a Python object"):
        take.validate({"items": object()})


def test_an_artifact_beside_repaired_arguments_is_still_found() -> None:
    context = ToolContext()
    kept = context.artifact(b"a", name="a.txt")

    @tool
    def read(file: Artifact, days: list[int]) -> str:
        return f"{file.path.read_text()} {days}"

    assert read.call_sync({"file": kept.to_json(), "days": "[1]"}, context) == "a [1]"


@tool
def choose(x: list[int] | dict[str, int] | Literal["all"]) -> Any:
    """Choose."""
    return x


@given(st.lists(st.integers()) | st.dictionaries(st.text(), st.integers()))
def test_text_stands_for_what_it_says_where_only_a_structure_is_taken(value: Any) -> None:
    assert choose.validate({"x": json.dumps(value)}) == {"x": value}
