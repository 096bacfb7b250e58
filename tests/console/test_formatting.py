"""Numbers, durations and lists as people read them."""

from __future__ import annotations

import pytest

from constellation.console.formatting import by_state, cause, counted, duration, some
from constellation.console.table import aligned


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 ms"),
        (0.0, "0 ms"),
        (0.4204, "420 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (245.0, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620.0, "2 h 07 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_of_a_thing_is_singular() -> None:
    assert (counted(1, "star"), counted(0, "star"), counted(12345, "star")) == ("1 star", "0 stars", "12,345 stars")


def test_states_are_listed_ends_first_without_zeros() -> None:
    assert by_state({"pending": 3, "failed": 1, "succeeded": 2, "skipped": 0, "odd\n": 1}) == (
        "2 succeeded, 1 failed, 3 pending, 1 odd\\n"
    )
    assert by_state({}) == "none"


def test_long_lists_are_cut_with_the_number_of_the_rest() -> None:
    assert some(["a", "b"], most=2) == "a, b"
    assert some(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "no cause is known"),
        ({}, "no cause is known"),
        ({"type": "", "message": ""}, "no cause is known"),
        ({"type": "ToolFailed"}, "ToolFailed"),
        ({"type": "ToolFailed", "message": "no\x1b"}, "ToolFailed: no\\e"),
    ],
)
def test_causes_name_type_and_message(error: dict[str, str] | None, text: str) -> None:
    assert cause(error) == text


def test_tables_align_all_columns_but_the_last() -> None:
    assert aligned(("A", "LONGER", "C"), [("x", "y", "z z"), ("wide\x1b", "", "")]) == [
        "A       LONGER  C",
        "x       y       z z",
        "wide\\e",
    ]
