"""References between arguments and outputs: their form, where they are found, and what they resolve to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.graph import ConditionError, InvalidLine, Output, ReferenceFault, StarId, TaskStarLine, Trigger
from constellation.graph.conditions import MAX_LENGTH, compile_condition
from constellation.graph.references import (
    MAX_DEPTH,
    Reference,
    find_references,
    parse_reference,
    point_into,
    resolve_references,
    write_outputs,
)


def resolve(arguments: dict[str, Any], output: Any) -> Any:
    return resolve_references(arguments, find_references(arguments), lambda reference: point_into(output, reference))


def test_references_are_found_where_they_stand() -> None:
    arguments = {"a": 1, "b": [{"c": {"$ref": "x#/k"}}, {"$ref": "y"}], "d": 1.5, "e": (True, None)}
    assert find_references(arguments) == (
        Reference(("b", 0, "c"), StarId("x"), "/k"),
        Reference(("b", 1), StarId("y"), ""),
    )


def test_arguments_without_references_are_given_back_as_they_are() -> None:
    arguments = {"a": [1, 2]}
    assert resolve(arguments, None) is arguments


def test_resolving_copies_what_is_around_and_leaves_the_arguments_alone() -> None:
    arguments = {"a": [{"$ref": "x#/0"}, 2], "b": {"c": {"$ref": "x"}}, "d": (1,)}
    assert resolve(arguments, ["zero"]) == {"a": ["zero", 2], "b": {"c": ["zero"]}, "d": [1]}
    assert arguments["a"] == [{"$ref": "x#/0"}, 2]


# The examples of RFC 6901, section 5.
RFC_6901: dict[str, Any] = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_follow_rfc_6901(pointer: str, value: Any) -> None:
    assert resolve({"v": {"$ref": f"x#{pointer}"}}, RFC_6901) == {"v": value}


@settings(max_examples=60)
@given(keys=st.lists(st.text(max_size=5) | st.integers(0, 3), max_size=4))
def test_indexing_an_output_writes_the_pointer_that_leads_there(keys: list[str | int]) -> None:
    output: Any = "found"
    pointer = Output(StarId("x"))
    for key in reversed(keys):
        output = {key: output} if isinstance(key, str) else [None] * key + [output]
    for key in keys:
        pointer = pointer[key]
    assert resolve({"v": pointer.as_json()}, output) == {"v": "found"}


@pytest.mark.parametrize(
    ("pointer", "output", "problem"),
    [
        ("/b", {"a": 1}, "x#/b: the output of 'x' has no 'b' there; it has the keys 'a'"),
        ("/b", {}, "it has no keys"),
        ("/b", {str(n): n for n in range(9)}, "the keys '0', '1', '2', '3', '4', '5', '6', '7', …"),
        ("/2", [1, 2], "it has a list of 2"),
        ("/-", [1, 2], "has no '-' there"),
        ("/01", [1, 2], "has no '01' there"),
        ("/٠", [1, 2], "has no '٠' there"),
        (f"/{'1' * 5000}", [1, 2], "it has a list of 2"),
        ("/a/b", {"a": "text"}, "has no 'b' there; it has a str"),
        ("/a", None, "it has a NoneType"),
    ],
)
def test_a_pointer_to_nothing_says_how_far_it_leads(pointer: str, output: Any, problem: str) -> None:
    with pytest.raises(ReferenceFault) as caught:
        resolve({"v": {"$ref": f"x#{pointer}"}}, output)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (3, r"the reference at the top is 3; write {'\$ref': '<star id>#<JSON pointer>'}"),
        ("../x#", "names '../x', which can't be a star's id"),
        ("#/a", "names '', which can't be a star's id"),
        ("x#a", "has the JSON pointer 'a', which has to begin with '/'"),
        ("x#/a~2", "has the JSON pointer '/a~2'; in a key, write '~0' for '~' and '~1' for '/'"),
        ("x#/a~", "in a key, write '~0' for '~'"),
    ],
)
def test_a_malformed_reference_says_how_to_write_it(text: object, problem: str) -> None:
    with pytest.raises(ReferenceFault, match=problem):
        parse_reference(text)


def nested(depth: int) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"$ref": "x"}, "stands for the arguments as a whole; put it under an argument's name"),
        ({"a": {"$ref": "x", "b": 1}}, "the reference at a has other keys"),
        ({1: 2}, "the arguments have the key 1 at the top; JSON keys are text"),
        ({"a": {1: 2}}, "the arguments have the key 1 at a; JSON keys are text"),
        ({"a": [{1, 2}]}, r"the arguments hold a set at a\[0\]; give JSON values only"),
        ({"a": float("nan")}, "the arguments hold nan at a; JSON has no such number"),
        ({"a": [float("inf")]}, r"the arguments hold inf at a\[0\]; JSON has no such number"),
        ({"a": 10**4300}, "the arguments hold a number of more than 4300 digits at a; give it as text"),
        ({"a": [-(10**4300)]}, r"the arguments hold a number of more than 4300 digits at a\[0\]"),
        ({"a": nested(MAX_DEPTH + 1)}, f"the arguments are nested over {MAX_DEPTH} deep at a"),
    ],
)
def test_arguments_that_json_can_not_say_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ReferenceFault, match=problem):
        find_references(arguments)


def test_arguments_may_be_nested_up_to_the_limit() -> None:
    assert find_references({"a": nested(MAX_DEPTH)}) == ()


def test_outputs_are_written_as_references_and_are_not_iterated_over() -> None:
    output = Output(StarId("x"))
    assert write_outputs({"a": (output["k"], 1)}) == {"a": [{"$ref": "x#/k"}, 1]}
    with pytest.raises(TypeError, match="the output of a star is not known yet"):
        list(output)


# --- lines and conditions --------------------------------------------------------------------------------------------


def test_an_expression_alone_makes_the_trigger() -> None:
    assert TaskStarLine(StarId("a"), StarId("b"), when="true").trigger is Trigger.WHEN
    with pytest.raises(InvalidLine, match="trigger 'when' needs an expression"):
        TaskStarLine(StarId("a"), StarId("b"), Trigger.WHEN)
    with pytest.raises(InvalidLine, match="an expression goes with trigger 'when', not 'failure'"):
        TaskStarLine(StarId("a"), StarId("b"), Trigger.FAILURE, "true")


@pytest.mark.parametrize("expression", ["", "output ==", "output.all(x, ", "(" * 1000, "\x00", "\ud800", "9" * 400])
def test_a_condition_that_does_not_parse_is_refused_in_one_line(expression: str) -> None:
    with pytest.raises(ConditionError, match="does not parse") as caught:
        compile_condition(expression)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression", ["outptu.total > 0", "output.x == y", "output.all(i, i > j)", "true || math.pi > 3"]
)
def test_a_condition_that_names_what_is_not_there_is_refused_before_it_is_needed(expression: str) -> None:
    with pytest.raises(ConditionError, match=r"names .(outptu|y|j|math)., but .*'output'"):
        compile_condition(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "output.all( i , i.exists(j, j > i))",
        "type(output) == int",
        "output.map(k, k.v).exists(v, v > 1)",
        "output == null",
    ],
)
def test_variables_of_macros_and_names_of_types_are_there(expression: str) -> None:
    compile_condition(expression)


def test_a_condition_has_a_limit_of_length() -> None:
    with pytest.raises(ConditionError, match="is over 4,000 characters long"):
        compile_condition("1" + "+1" * (MAX_LENGTH // 2))
