"""Frames of version 1 as they were published: they are understood, and written the same, for ever."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from constellation_protocol import ArtifactChunk, message_schema
from constellation_protocol.codec import Frame, decode, encode_message, encode_text, number_chunk
from constellation_protocol.messages import TextMessage
from constellation_protocol.schema import SCHEMA_FILE, render

LIMIT = 2**22
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
CHUNK = Path(__file__).parent / "golden" / "artifact_chunk.hex"
GUIDE = Path(__file__).parents[2] / "docs" / "protocol.md"


def encode_again(frame: Frame) -> str:
    parts = [encode_message(message, limit=LIMIT).wire for message in frame.messages]
    return encode_text([str(part) for part in parts], seq=frame.seq, ack=frame.ack, credits=frame.credits)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_frame_is_decoded_and_encoded_to_the_same_bytes(path: Path) -> None:
    raw = path.read_text().rstrip("\n")

    assert encode_again(decode(raw, limit=LIMIT)) == raw


def test_the_golden_chunk_is_decoded_and_encoded_to_the_same_bytes() -> None:
    raw = bytes.fromhex(CHUNK.read_text())

    frame = decode(raw, limit=LIMIT)

    (chunk,) = frame.messages
    assert isinstance(chunk, ArtifactChunk)
    assert (frame.seq, chunk.offset, chunk.data) == (9, 0, b"test")
    wire = encode_message(chunk, limit=LIMIT).wire
    assert isinstance(wire, bytes)
    assert number_chunk(wire, frame.seq) == raw


def test_there_is_a_golden_frame_of_every_kind() -> None:
    kinds = {message["kind"] for path in GOLDEN for message in json.loads(path.read_text())["messages"]}

    assert kinds == {get_args(get_type_hints(kind)["kind"])[0] for kind in get_args(get_args(TextMessage)[0])}


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA_FILE.read_text() == render(), "write constellation_protocol.schema.render() to the file"


def test_the_schema_is_one_and_accepts_every_golden_frame() -> None:
    Draft202012Validator.check_schema(message_schema())
    validator = Draft202012Validator(message_schema())
    for path in GOLDEN:
        validator.validate(json.loads(path.read_text()))


def test_the_schema_rejects_what_the_codec_rejects() -> None:
    validator = Draft202012Validator(message_schema())
    for frame in ({"v": 2, "messages": []}, {"v": 1}, {"v": 1, "messages": [{"kind": "accept", "attempt": "a"}]}):
        assert not validator.is_valid(frame)


@pytest.mark.parametrize("block", re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL))
def test_every_frame_in_the_guide_is_a_frame(block: str) -> None:
    assert decode(block, limit=LIMIT).messages


def test_the_chunk_in_the_guide_is_the_golden_one() -> None:
    shown = re.search(r"```hex\n(.*?)```", GUIDE.read_text(), re.DOTALL)

    assert shown is not None
    assert bytes.fromhex(shown[1]) == bytes.fromhex(CHUNK.read_text())
