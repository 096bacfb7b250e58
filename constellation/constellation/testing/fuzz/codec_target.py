"""Fuzzing the codec: a frame is understood, and written the same again, or turned down with an error of the rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from constellation_protocol.codec import Frame, decode, encode_message, encode_text, number_chunk
from constellation_protocol.errors import RemoteProtocolError
from constellation_protocol.handshake import MAX_HELLO_BYTES, read_hello, version_refusal
from constellation_protocol.messages import Message

from . import corpus
from .breach import Breach, check_error
from .mutation import mutated, noise, swollen
from .target import Step

LIMIT = 64 * 1024
"""The limit of frames here: so low that frames get over it."""

_INFINITE = re.compile(r"\binf\b")

_ROOM = 2**24
"""As much as a frame that was accepted may take when it is written: escapes make text longer."""


class CodecTarget:
    """Decodes one frame."""

    name = "codec"

    def make(self, chance: Random) -> Sequence[Step]:
        """One frame, most often a spoilt one."""
        if chance.random() < 0.05:
            return [("decode", noise(chance))]
        frame = corpus.frame(chance)
        if isinstance(frame, str) and chance.random() < 0.05:
            return [("decode", swollen(frame, chance))]
        if chance.random() < 0.95:
            frame = mutated(frame, chance, lambda: corpus.frame(chance))
        return [("decode", frame)]

    def run(self, steps: Sequence[Step]) -> str:
        """Decode; returns the error's code or `accepted`."""
        fate = "nothing"
        for _, frame in steps:
            _check_hello(frame)
            try:
                decoded = decode(frame, limit=LIMIT)
            except RemoteProtocolError as error:
                check_error(error)
                fate = error.code
            else:
                _check_size(frame)
                _check_round_trip(decoded)
                fate = "accepted"
        return fate


def _check_hello(frame: str | bytes) -> None:
    """The opening takes nothing but a hello, and answers every other frame with an error."""
    try:
        hello = read_hello(frame)
    except RemoteProtocolError as error:
        check_error(error)
        return
    if len(frame) > MAX_HELLO_BYTES:
        raise Breach(f"a hello of {len(frame)} characters was accepted")
    refusal = version_refusal(hello)
    if refusal is not None and len(refusal.message) > 1000:
        raise Breach(f"the refusal of a version has {len(refusal.message)} characters")


def _check_size(frame: str | bytes) -> None:
    size = len(frame if isinstance(frame, bytes) else frame.encode())
    if size > LIMIT:
        raise Breach(f"a frame of {size} bytes was accepted, over the limit of {LIMIT}")


def _check_round_trip(frame: Frame) -> None:
    """What was understood can be written, and is understood in the same way again."""
    wires = [encode_message(message, limit=_ROOM).wire for message in frame.messages]
    if len(wires) == 1 and isinstance(wires[0], bytes):
        again = decode(number_chunk(wires[0], frame.seq), limit=_ROOM)
    else:
        texts = [str(wire) for wire in wires]
        text = encode_text(texts, seq=frame.seq, ack=frame.ack, credits=frame.credits)
        if _INFINITE.search(repr(frame)):
            return  # a number beyond the range of a double is written as null
        again = decode(text, limit=_ROOM)
    if _facts(again) != _facts(frame):
        raise Breach(f"a frame was written as another one: {frame!r:.300} became {again!r:.300}")


def _facts(frame: Frame) -> tuple[list[Message], int, int | None, int | None]:
    return list(frame.messages), frame.seq, frame.ack, frame.credits
