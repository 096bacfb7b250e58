"""Values of the wrong type are refused where a star or a line is made: nothing that reads documents sees them."""

from __future__ import annotations

from typing import Any

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    EditBatch,
    EditRejected,
    InvalidLine,
    InvalidStar,
    Nested,
    Prompt,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarId,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
)


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("name", 5, "text"),
        ("description", None, "text"),
        ("requires", ["gpu"], "labels and amounts"),
        ("device", 7, "the id of a device"),
        ("timeout_s", "5", "seconds"),
        ("retry", 3, "a RetryPolicy"),
        ("priority", "high", "a whole number"),
        ("priority", 1.5, "a whole number"),
        ("idempotent", "yes", "true, false or None"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_what_it_has_to_be(field: str, value: Any, wanted: str) -> None:
    with pytest.raises(InvalidStar, match=rf"star 'a': {field} is .*{wanted}"):
        TaskStar(StarId("a"), ToolCall("t"), **{field: value})


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("t", "its work is 't'"),
        (None, "its work is None"),
        (ToolCall("t", [1]), r"its arguments are \[1\]"),  # type: ignore[arg-type]
        (ToolCall(5), "its tool is 5"),  # type: ignore[arg-type]
        (Prompt(b"do"), "its instruction is b'do'"),  # type: ignore[arg-type]
        (Prompt("do", output=["a"]), r"its output is \['a'\]"),  # type: ignore[arg-type]
        (Approval(True), "its question is True"),  # type: ignore[arg-type]
        (Nested("inner"), "its constellation is 'inner'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_work_is_refused(work: Any, said: str) -> None:
    with pytest.raises(InvalidStar, match=f"star 'a': {said}"):
        TaskStar(StarId("a"), work)


@pytest.mark.parametrize("id", [5, None, b"a"])
def test_an_id_is_text(id: Any) -> None:
    with pytest.raises(InvalidStar, match="can't be a star's id"):
        TaskStar(id, ToolCall("t"))


def test_a_trigger_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidLine, match="no trigger 'sometimes'; give one of success, failure, completion, when"):
        TaskStarLine(StarId("a"), StarId("b"), "sometimes")  # type: ignore[arg-type]


@pytest.mark.parametrize(("source", "target"), [(5, "b"), ("a", None)])
def test_the_ends_of_a_line_are_text(source: Any, target: Any) -> None:
    with pytest.raises(InvalidLine, match="have to be ids of stars"):
        TaskStarLine(source, target)


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (("no operation",), r"operation 0 \('no operation'\): this is no operation"),
        ((RemoveStar(5),), "its star is 5, and has to be a str"),  # type: ignore[arg-type]
        ((AddLine("x"),), "its line is 'x', and has to be a TaskStarLine"),  # type: ignore[arg-type]
        ((AddStar("x"),), "its star is 'x', and has to be a TaskStar"),  # type: ignore[arg-type]
        ((RemoveLine(StarId("a"), 7),), "its target is 7"),  # type: ignore[arg-type]
        (5, "its operations are 5"),
    ],
)
def test_what_is_no_operation_is_refused_when_the_batch_is_made(operations: Any, said: str) -> None:
    with pytest.raises(EditRejected, match=said):
        EditBatch(operations)


def test_the_version_that_a_batch_was_made_against_is_a_number() -> None:
    with pytest.raises(EditRejected, match="base_version is 'x'"):
        EditBatch((), base_version="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_attempts", 2.5), ("backoff_s", "1"), ("factor", None), ("jitter", "x"), ("on", "X"), ("on", (1,))],
)
def test_what_a_retry_policy_is_made_of_has_to_make_sense(field: str, value: Any) -> None:
    with pytest.raises(InvalidStar, match=f"retry.{field} is"):
        RetryPolicy(**{field: value})


@pytest.mark.parametrize("wrong", [{"name": 5}, {"name": "x", "description": None}, {"name": "x", "tools": [5]}])
def test_what_a_constellation_is_called_is_text(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="a constellation's"):
        TaskConstellation(**wrong)
