"""Values of the wrong type are refused where a star or a line is made: nothing that reads documents sees them."""

from __future__ import annotations

from typing import Any

import pytest

from constellation.graph import (
    Approval,
    InvalidLine,
    InvalidStar,
    Nested,
    Prompt,
    StarId,
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
