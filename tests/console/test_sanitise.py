"""Text from elsewhere never acts on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.console.sanitise import visible, visible_lines

anything = st.text(st.characters(codec=None), max_size=200)


@given(anything)
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    assert visible(text).isprintable()


@given(anything, st.integers(0, 50))
def test_what_is_shown_is_never_longer_than_the_limit(text: str, limit: int) -> None:
    assert len(visible(text, limit=limit)) <= max(limit, 1)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_printable_text_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\e]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\0"),
        ("abc\u202edef", "abc\\u202edef"),
        ("a\u2028b", "a\\u2028b"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("wide\u00a0space", "wide space"),
        ("émoji 🚀", "émoji 🚀"),
    ],
)
def test_what_acts_is_shown_by_its_name(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_what_is_cut_off_is_marked() -> None:
    assert visible("abcdefgh", limit=4) == "abc…"
    assert visible("abcd", limit=4) == "abcd"


def test_a_name_that_grows_the_text_does_not_break_the_limit() -> None:
    assert visible("\x1b" * 10, limit=5) == "\\e\\e…"


def test_other_values_are_shown_as_text() -> None:
    assert visible(12) == "12"


def test_lines_stay_lines_and_empty_ones_at_the_end_go() -> None:
    assert visible_lines("one\x1b\n\ntwo\n\n") == ["one\\e", "", "two"]
