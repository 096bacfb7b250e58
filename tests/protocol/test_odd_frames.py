"""Odd frames of version 1, kept for ever: which are taken, and by which code the others are turned down.

A file in `odd/` is named for what has to become of it: `accepted--…` or the code of the error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from constellation_protocol import RemoteProtocolError
from constellation_protocol.codec import decode

LIMIT = 2**22
ODD = sorted((Path(__file__).parent / "odd").iterdir())
CODES = {"accepted", "malformed-frame", "version", "unknown-kind", "invalid-message"}


def read(path: Path) -> str | bytes:
    text = path.read_text(encoding="utf-8").rstrip("\n")
    return bytes.fromhex(text) if path.suffix == ".hex" else text


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.stem)
def test_an_odd_frame_has_the_fate_that_its_name_says(path: Path) -> None:
    try:
        decode(read(path), limit=LIMIT)
        fate = "accepted"
    except RemoteProtocolError as error:
        fate = error.code
    assert fate == path.stem.partition("--")[0]


def test_there_are_odd_frames_of_every_fate() -> None:
    assert {path.stem.partition("--")[0] for path in ODD} == CODES
