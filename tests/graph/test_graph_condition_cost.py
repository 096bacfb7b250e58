"""Conditions that would keep everything waiting are refused; those that people write are not."""

from __future__ import annotations

import pytest

from constellation.graph import ConditionError, InvalidLine, StarId, TaskStarLine
from constellation.graph.condition_cost import cost_of, most_items
from constellation.graph.conditions import compile_condition, evaluate_condition

ROWS = [{"ok": True, "tags": ["a", "b"], "n": number} for number in range(1000)]


@pytest.mark.parametrize(
    ("expression", "power"),
    [
        ("output.ok", 1),
        ("output.all(x, x.n > 0) && output.exists(x, x.ok)", 1),
        ("output.rows.all(x, x.tags.exists(t, t == 'a'))", 1),
        ("output.all(x, x.limit > output.limit)", 1),
        ("output == '.all(x, output.all(y, true))' // .all(x, output.map(y,", 1),
        ("size(output.filter(x, x.ok)) > 0", 2),
        ("output.map(x, x.tags[0]) == ['a']", 2),
        ("output.all(x, output.all(y, x == y))", 2),
        ("output . all ( x , (output).exists_one(y, x == y))", 2),
        ("output.all(x, x in output)", 2),
        ("output.all(x, r'\\' == x || output.all(y, true))", 2),
        ("output.all(x, x.tags.all(t, x.tags.all(u, t == u)))", 2),
        ("output.all(x, x.tags.map(t, t + 'x').size() > 0)", 2),
        ("[output].all(x, x.all(a, x.all(b, x.all(c, true))))", 3),
        ("output.map(x, output).all(x, x.all(y, true))", 3),
        ("output.map(x, [x, x]).all(x, x.all(y, true))", 3),
    ],
)
def test_loops_within_loops_over_the_same_multiply(expression: str, power: int) -> None:
    compile_condition(expression)
    assert cost_of(expression).power == power


def test_what_takes_too_long_whatever_it_is_about_is_refused_beforehand() -> None:
    expression = "true"
    for name in "abcdef":
        expression = f"[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].all({name}, {expression})"
    with pytest.raises(ConditionError, match="has loops within loops that would take too long"):
        TaskStarLine(StarId("a"), StarId("b"), when=expression)


@pytest.mark.parametrize(
    "expression",
    [
        "output.filter(x, x >= 0).size() > 3",
        "output.map(x, x + 1).size() > 3",
        "output.all(x, output.all(y, x + y >= 0))",
        "output.all(x, x in output)",
    ],
)
def test_what_takes_too_long_on_an_output_of_such_a_size_is_a_fault(expression: str) -> None:
    assert evaluate_condition(expression, list(range(50)))
    with pytest.raises(ConditionError, match=r"would take too long on an output with 20,000 items in one place"):
        evaluate_condition(expression, list(range(20_000)))


def test_a_large_output_can_still_be_looked_through_once() -> None:
    assert evaluate_condition("output.all(x, x >= 0) && !output.exists(x, x < 0)", list(range(20_000)))
    assert evaluate_condition("output.all(x, x.tags.exists(t, t == 'a'))", ROWS * 5)


def test_items_are_counted_where_most_are_together() -> None:
    assert most_items(3) == 0
    assert most_items({"a": [1, 2, {"b": [1, 2, 3, 4]}], "c": 1}) == 4


def test_a_line_with_an_expression_that_does_not_parse_says_that_first() -> None:
    with pytest.raises((ConditionError, InvalidLine), match="does not parse"):
        TaskStarLine(StarId("a"), StarId("b"), when="output.all(x, ")
