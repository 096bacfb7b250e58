"""Frames: round trips, limits, and what is refused."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_protocol import FrameTooLarge, LocalProtocolError, RemoteProtocolError
from constellation_protocol.codec import (
    FRAME_OVERHEAD,
    MAX_CHUNK_BYTES,
    MAX_FRAME_MESSAGES,
    decode,
    encode_message,
    encode_text,
    number_chunk,
)
from constellation_protocol.messages import (
    Accept,
    ArtifactChunk,
    ArtifactInfo,
    ArtifactRequest,
    Assign,
    Hello,
    Message,
    Progress,
    Result,
    ToolWork,
)
from constellation_protocol.nesting import MAX_DIGITS, MAX_MESSAGE_NESTING, nests_deeper

LIMIT = 4 * 1024 * 1024
DIGEST = "ab" * 32

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,20}", fullmatch=True)
messages = st.one_of(
    st.builds(
        Hello, device=ids, token=st.none() | st.text(), received=st.integers(0, 2**40), running=st.tuples(st.text())
    ),
    st.builds(
        Assign,
        run=st.text(),
        star=st.text(),
        attempt=st.text(),
        epoch=st.integers(0, 2**40),
        name=st.text(),
        work=st.builds(ToolWork, tool=st.text(), arguments=st.dictionaries(st.text(), json_values, max_size=3)),
        timeout_s=st.none() | st.floats(0, 1e9),
        artifacts=st.tuples(
            st.builds(ArtifactInfo, sha256=st.just(DIGEST), size=st.integers(0, 2**40), name=st.text())
        ),
    ),
    st.builds(
        Result,
        attempt=st.text(),
        epoch=st.integers(),
        status=st.sampled_from(["succeeded", "failed"]),
        output=json_values,
    ),
    st.builds(Progress, attempt=st.text(), epoch=st.integers(), text=st.none() | st.text(), data=json_values),
    st.builds(ArtifactRequest, sha256=st.just(DIGEST), offset=st.integers(0, 2**60)),
)


def text_frame(*frame_messages: Message, **head: Any) -> str:
    parts = [encode_message(message, limit=LIMIT).wire for message in frame_messages]
    return encode_text([part for part in parts if isinstance(part, str)], **head)


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, min_size=1, max_size=5), st.integers(0, 2**62))
def test_what_is_encoded_is_decoded_to_the_same(batch: list[Message], seq: int) -> None:
    frame = decode(text_frame(*batch, seq=seq, ack=4, credits=9), limit=LIMIT)

    assert list(frame.messages) == batch
    assert (frame.seq, frame.ack, frame.credits) == (seq, 4, 9)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=5000), st.integers(0, 2**63), st.integers(0, 2**63))
def test_a_chunk_comes_out_of_its_binary_frame_as_it_went_in(data: bytes, seq: int, offset: int) -> None:
    chunk = ArtifactChunk(sha256=DIGEST, offset=offset, data=data)
    wire = encode_message(chunk, limit=LIMIT).wire
    assert isinstance(wire, bytes)

    frame = decode(number_chunk(wire, seq), limit=LIMIT)

    assert frame.messages == (chunk,)
    assert frame.seq == seq


def test_a_frame_without_acknowledgement_says_nothing_of_credits() -> None:
    raw = text_frame(Accept(attempt="a", epoch=1), seq=1)

    assert "credits" not in json.loads(raw)
    assert decode(raw, limit=LIMIT).ack is None


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_whatever_comes_is_a_frame_or_a_protocol_error(data: str | bytes) -> None:
    try:
        decode(data, limit=LIMIT)
    except RemoteProtocolError as error:
        assert error.code in {"malformed-frame", "unknown-kind", "invalid-message", "version"}  # noqa: PT017 - may pass


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "malformed-frame"),
        ("{", "malformed-frame"),
        ("\ud800", "malformed-frame"),
        ('{"v":1}', "invalid-message"),
        ('{"v":1,"messages":{}}', "invalid-message"),
        ("[]", "invalid-message"),
        ('{"v":2,"messages":[]}', "version"),
        ('{"v":1,"messages":[{"kind":"teleport"}]}', "unknown-kind"),
        ('{"v":1,"messages":[{"no":"kind"}]}', "unknown-kind"),
        ('{"v":1,"messages":[{"kind":"accept"}]}', "invalid-message"),
        ('{"v":1,"seq":-1,"messages":[]}', "invalid-message"),
        ('{"v":1,"ack":1,"messages":[]}', "invalid-message"),
        (
            '{"v":1,"messages":[{"kind":"artifact_chunk","sha256":"' + DIGEST + '","offset":0,"data":""}]}',
            "unknown-kind",
        ),
        ('{"v":1,"messages":[{"kind":"welcome","session":"s","epoch":1,"heartbeat_s":1e999}]}', "invalid-message"),
        ('{"v":1,"messages":[{"kind":"progress","attempt":"a","epoch":1,"data":[NaN]}]}', "malformed-frame"),
        ('{"v":1,"messages":[{"kind":"progress","attempt":"a","epoch":1,"data":-Infinity}]}', "malformed-frame"),
        ('{"v":1,"ack":9223372036854775808,"credits":1,"messages":[]}', "invalid-message"),
        ('{"v":1,"messages":[{"kind":"ack","received":1,"credits":9223372036854775808}]}', "invalid-message"),
        ('{"v":1,"messages":[{"kind":"hello","device":"d","received":9223372036854775808}]}', "invalid-message"),
        (b"", "malformed-frame"),
        (b"\x02\x01" + bytes(48), "version"),
        (b"\x01\x09" + bytes(48), "unknown-kind"),
        (b"\x01\x01" + bytes(48) + bytes(MAX_CHUNK_BYTES + 1), "malformed-frame"),
    ],
)
def test_a_frame_that_breaks_the_rules_is_refused_with_a_code(raw: str | bytes, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(raw, limit=LIMIT)

    assert caught.value.code == code


FILLED = {
    "messages": '{"v":1,"messages":[%s]}',
    "tools": '{"v":1,"messages":[{"kind":"hello","device":"d","profile":{"tools":[%s]}}]}',
    "gpus": '{"v":1,"messages":[{"kind":"hello","device":"d","profile":{"gpus":[%s]}}]}',
    "running": '{"v":1,"messages":[{"kind":"hello","device":"d","running":[%s]}]}',
    "finished": '{"v":1,"messages":[{"kind":"hello","device":"d","finished":[%s]}]}',
    "versions": '{"v":1,"messages":[{"kind":"hello","device":"d","versions":[%s]}]}',
    "result": '{"v":1,"messages":[{"kind":"result","attempt":"a","epoch":1,"status":"failed","artifacts":[%s]}]}',
    "labels": '{"v":1,"messages":[{"kind":"hello","device":"d","profile":{"labels":{%s}}}]}',
    "resources": '{"v":1,"messages":[{"kind":"hello","device":"d","profile":{"resources":{%s}}}]}',
}


@pytest.mark.parametrize("frame", FILLED.values(), ids=FILLED)
def test_a_frame_in_which_everything_is_wrong_takes_no_more_memory_than_a_good_one(frame: str) -> None:
    if "[%s]" in frame:
        raw = frame % ",".join(["[]"] * 30_000)
    else:
        raw = frame % ",".join(f'"{number}":[]' for number in range(10_000))
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError) as caught:
            decode(raw, limit=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.code in ("invalid-message", "unknown-kind")
    assert peak < 40 * len(raw)


def test_text_may_speak_of_numbers_that_are_none() -> None:
    raw = '{"v":1,"messages":[{"kind":"progress","attempt":"a","epoch":1,"text":"NaN, Infinity"}]}'

    assert decode(raw, limit=LIMIT).messages == [Progress(attempt="a", epoch=1, text="NaN, Infinity")]


def test_unknown_fields_are_ignored() -> None:
    raw = '{"v":1,"new":1,"messages":[{"kind":"accept","attempt":"a","epoch":1,"mood":"good"}]}'

    assert decode(raw, limit=LIMIT).messages == [Accept(attempt="a", epoch=1)]


def test_the_length_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(FrameTooLarge, match="11 bytes is over the limit of 10 bytes"):
        decode("not json at", limit=10)
    with pytest.raises(FrameTooLarge):
        decode(b"x" * 11, limit=10)


def test_the_length_of_text_counts_bytes_not_characters() -> None:
    with pytest.raises(FrameTooLarge, match="16 bytes"):
        decode("\N{BLACK STAR}" * 5 + "x", limit=10)


def test_a_frame_may_not_carry_more_messages_than_the_limit() -> None:
    accept = Accept(attempt="a", epoch=1)
    decode(text_frame(*[accept] * MAX_FRAME_MESSAGES, seq=1), limit=LIMIT)

    with pytest.raises(RemoteProtocolError, match="messages"):
        decode(text_frame(*[accept] * (MAX_FRAME_MESSAGES + 1), seq=1), limit=LIMIT)


def test_a_message_that_would_not_fit_is_refused_where_it_is_made() -> None:
    fits = Progress(attempt="a", epoch=1, text="x" * 800)
    assert len(text_frame(fits)) <= 1024

    with pytest.raises(LocalProtocolError, match=r"'progress' message of .* send large content as an artifact"):
        encode_message(Progress(attempt="a", epoch=1, text="\N{BLACK STAR}" * 400), limit=1024)
    with pytest.raises(LocalProtocolError, match="smaller pieces"):
        encode_message(ArtifactChunk(sha256=DIGEST, offset=0, data=bytes(MAX_CHUNK_BYTES + 1)), limit=LIMIT)


def test_the_head_of_a_frame_fits_into_what_is_kept_free_for_it() -> None:
    huge = 2**63

    assert len(encode_text([], seq=huge, ack=huge, credits=huge)) <= FRAME_OVERHEAD


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_a_value_without_a_json_form_is_refused_where_it_is_made(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="can't be written as JSON"):
        encode_message(Result(attempt="a", epoch=1, status="succeeded", output=value), limit=LIMIT)


def nested(levels: int, leaf: Any = 1) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (nested(MAX_MESSAGE_NESTING), "nests deeper than 128 levels"),
        (nested(250), "too deep"),
        (10**MAX_DIGITS, "too long a number"),
        ({"a": -(10**5000)}, "too long a number"),
    ],
    ids=["deep", "deeper", "digits", "digits below"],
)
def test_what_the_other_side_could_not_read_is_refused_where_it_is_made(output: Any, problem: str) -> None:
    with pytest.raises(LocalProtocolError, match=problem):
        encode_message(Result(attempt="a", epoch=1, status="succeeded", output=output), limit=LIMIT)


@pytest.mark.parametrize(
    "output", [nested(MAX_MESSAGE_NESTING - 1), 10 ** (MAX_DIGITS - 1), [[]] * 10_000, "[" * 5000], ids="abcd"
)
def test_what_is_just_readable_is_sent(output: Any) -> None:
    result = Result(attempt="a", epoch=1, status="succeeded", output=output)
    assert decode(text_frame(result, seq=1), limit=LIMIT).messages == [result]


@given(
    st.recursive(st.none(), lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3))
)
def test_levels_are_counted_as_they_are_written(value: Any) -> None:
    def levels(item: Any) -> int:
        below = item.values() if isinstance(item, dict) else item
        return 0 if item is None else 1 + max(map(levels, below), default=0)

    assert not nests_deeper(value, levels(value))
    assert levels(value) == 0 or nests_deeper(value, levels(value) - 1)


def test_an_error_never_quotes_the_frame() -> None:
    raw = '{"v":1,"messages":[{"kind":"hello","device":7,"token":"s3cret"}]}'

    with pytest.raises(RemoteProtocolError) as caught:
        decode(raw, limit=LIMIT)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "device" in caught.value.message


@pytest.mark.parametrize("character", ["x", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{ROCKET}"])
def test_an_error_is_bounded_and_free_of_control_characters(character: str) -> None:
    raw = '{"v":1,"messages":[{"kind":"\\u001b[2J' + character * 10_000 + '"}]}'

    with pytest.raises(RemoteProtocolError) as caught:
        decode(raw, limit=LIMIT)

    assert len(caught.value.message) <= 300
    assert caught.value.message.isprintable()


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(Hello(device="d", token="s3cret"))


def test_amounts_are_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        Progress(attempt="a", epoch=1, fraction=math.nan)
