"""Events are read whatever the network makes of them."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.llm.wire.sse import EventReader, EventTooLong

TEXTS = st.lists(st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), min_size=1))


def read(stream: bytes, cuts: list[int]) -> list[str]:
    """The events of a stream that comes cut at these places."""
    reader = EventReader()
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    found: list[bytes] = []
    for begin, end in pairwise(places):
        found += reader.feed(stream[begin:end])
    return [event.decode() for event in found + reader.end()]


@given(TEXTS, st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0)))
def test_however_a_stream_is_cut_its_events_are_the_same(texts: list[str], end: str, cuts: list[int]) -> None:
    stream = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    assert read(stream, cuts) == texts


@given(st.lists(st.integers(0)))
def test_comments_and_other_fields_are_left_out(cuts: list[int]) -> None:
    stream = b": ping\n\nevent: x\nid: 3\ndata: one\n\nretry: 5\n\ndata:two\ndata: lines\n\n"
    assert read(stream, cuts) == ["one", "two\nlines"]


def test_the_last_event_may_lack_its_empty_line() -> None:
    assert read(b"data: one\n\ndata: two", []) == ["one", "two"]
    assert read(b"data: one\n\ndata: two\n", []) == ["one", "two"]
    assert read(b"", []) == []


def test_an_event_that_does_not_end_is_given_up() -> None:
    reader = EventReader(most_bytes=100)
    for _ in range(5):
        assert reader.feed(b"data: " + b"x" * 14) == []
    with pytest.raises(EventTooLong, match="longer than 100 bytes"):
        reader.feed(b"x")


@pytest.mark.parametrize("cut", range(40))
def test_a_byte_order_mark_and_ends_of_lines_that_are_mixed_are_borne(cut: int) -> None:
    assert read(b"\xef\xbb\xbfdata: one\n\r\n: ping\r\n\r\ndata: two\n\n", [cut]) == ["one", "two"]


def test_an_event_of_many_small_pieces_is_looked_through_once() -> None:
    reader = EventReader()
    began = time.process_time()
    for _ in range(20_000):
        assert reader.feed(b"x" * 500) == []
    assert reader.feed(b"\n\n") == []
    assert time.process_time() - began < 5.0, "10 MB in pieces; looked through anew for each, they take a minute"
