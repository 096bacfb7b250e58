"""Spoiling frames: as text, as JSON and as bytes, a little or thoroughly."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Frame = str | bytes

MOST_BYTES = 80_000
"""About how long a frame gets by repeating parts of it."""

MOST_ITEMS = 3000
"""About how many items a list gets by repeating it."""

_MARK = "\ue000"
"""Stands in JSON for what the library would not write: it is filled in afterwards."""

RAW: Sequence[str] = (
    "NaN", "Infinity", "-Infinity", "-0", "1e999", "1e-999", "9" * 400, "9" * 5000, "0x10", "01", "+1", ".5", "1.",
    "\"\\ud800\"", "\"\\udfff\\ud800\"", "\"\\u0000\"", "\"\\x\"", "'a'", "tru", "", "//", "[" * 300, "{\"a\":" * 300,
    "[" * 200 + "]" * 200, "{\"kind\":\"ping\",\"kind\":\"pong\",\"nonce\":1}",
)  # fmt: skip
ODD: Sequence[Any] = (
    None, True, False, -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 1.5, -0.0, 1e308, "", "a",
    "A" * 201, "\x00", "\x1b]0;x\x07", "\u202e", "\u2028", "../../etc/passwd", "/dev/null", "kind", "0" * 64, "z" * 64,
    [], {}, [[]], [None] * 1025, {"kind": None}, {"kind": "goodbye"}, {"kind": "assign", "work": {"kind": "tool"}},
    "\u00e9" * 300,
)  # fmt: skip
CHARACTERS = '{}[]":,\\0123456789.eE-+ntfu \x00\x1b\x7f\u00e9\u2028\ufeff\U0001f680\ud800'
EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01", b"\x02")


def mutated(frame: Frame, chance: Random, other: Callable[[], Frame]) -> Frame:
    """Change a frame in one to four ways; `other` gives one to take parts of."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if isinstance(frame, bytes):
            frame = _spoil_bytes(frame, chance, other)
        elif chance.random() < 0.6:
            frame = _spoil_json(frame, chance)
        else:
            frame = _spoil_text(frame, chance, other)
    return frame


def noise(chance: Random) -> Frame:
    """Something that never was a frame."""
    size = chance.choice((0, 1, 2, 10, 49, 50, 51, 100, 1000))
    if chance.random() < 0.5:
        return chance.randbytes(size)
    return "".join(chance.choices(CHARACTERS, k=size))


def swollen(text: str, chance: Random) -> str:
    """A text frame in which a list or an object has thousands of items, of which all or most are wrong."""
    item = json.dumps(chance.choice(ODD))
    times = MOST_BYTES // (len(item) + 8)
    many = [item] * times if chance.random() < 0.8 else ['{"name":"a"}'] * (times // 2) + [item]
    name, wrap = chance.choice(_GROWING)
    if wrap == "object":
        filling = "{" + ",".join(f'"{number:x}":{value}' for number, value in enumerate(many)) + "}"
    else:
        filling = f"[{','.join(many)}]"
    spoilt, mark, rest = text.partition(f'"{name}":')
    if not mark:  # no such field: let the frame have one, which counts where a message has a default for it
        spoilt, mark, rest = text.partition('{"kind":')
        return f'{spoilt}{{"{name}":{filling},"kind":{rest}' if mark else text
    return f'{spoilt}{mark}{filling},"{name}":{rest}' if chance.random() < 0.2 else f"{spoilt}{mark}{filling}}}]}}"


_GROWING = (
    ("messages", "list"),
    ("tools", "list"),
    ("gpus", "list"),
    ("versions", "list"),
    ("running", "list"),
    ("finished", "list"),
    ("artifacts", "list"),
    ("labels", "object"),
    ("resources", "object"),
    ("arguments", "object"),
    ("data", "list"),
)


def _spoil_json(text: str, chance: Random) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _spoil_text(text, chance, lambda: text)
    place: Any = None
    here = value
    while isinstance(here, dict | list) and here:
        place = here
        key = chance.choice(list(here)) if isinstance(here, dict) else chance.randrange(len(here))
        here = here[key]
        if chance.random() < 0.25:
            break
    if place is None:
        return text
    raw = ""
    match chance.randrange(7):
        case 0:
            del place[key]
        case 1:
            place[key] = _MARK
            raw = chance.choice(RAW)
        case 2 if isinstance(place, list):
            place *= min(chance.choice((2, 3, 1100)), 1 + MOST_ITEMS // len(place))
        case 3 if isinstance(place, dict):
            place[chance.choice(("x", "kind", "v", "seq", "ack", "credits", "epoch", ""))] = chance.choice(ODD)
        case 4:
            place[key] = [here]
        case 5 if isinstance(here, int | float):
            place[key] = here + chance.choice((-1, 1, 10, 1024))
        case _:
            place[key] = chance.choice(ODD)
    try:
        spoilt = json.dumps(value, separators=(",", ":"), ensure_ascii=chance.random() < 0.5)
    except RecursionError:
        return text
    return spoilt.replace(f'"{_MARK}"', raw).replace('"\\ue000"', raw)[: 2 * MOST_BYTES]


def _spoil_text(text: str, chance: Random, other: Callable[[], Frame]) -> str:
    start = chance.randrange(len(text) + 1)
    end = min(len(text), start + chance.choice((0, 1, 2, 10, 100)))
    match chance.randrange(7):
        case 0:
            return text[:start]
        case 1:
            return text[:start] + text[end:]
        case 2:
            return text[:start] + "".join(chance.choices(CHARACTERS, k=chance.choice((1, 1, 3, 30)))) + text[end:]
        case 3:
            times = chance.choice((2, 10, MOST_BYTES // max(1, end - start)))
            return text[:start] + text[start:end] * times + text[end:]
        case 4:
            donor = other()
            return text[:start] + (donor if isinstance(donor, str) else donor.decode("latin-1"))[start:]
        case 5:
            return text[:start] + text[start:end].swapcase() + text[end:]
        case _:
            return text[:start] + chance.choice(RAW) + text[end:]


def _spoil_bytes(data: bytes, chance: Random, other: Callable[[], Frame]) -> bytes:
    start = chance.randrange(min(len(data), 60) + 1)
    end = min(len(data), start + chance.choice((0, 1, 2, 8, 32)))
    match chance.randrange(6):
        case 0:
            return data[:start]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:start] + chance.randbytes(end - start) + data[end:]
        case 3:
            return data[:start] + chance.choice(EXTREMES) * (end - start) + data[end:]
        case 4:
            return data + bytes(chance.choice((1, 1000, MOST_BYTES, 256 * 1024, 256 * 1024 + 1)))
        case _:
            donor = other()
            return data[:start] + (donor if isinstance(donor, bytes) else donor.encode("utf-8", "surrogatepass"))
