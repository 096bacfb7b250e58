"""Fuzzing a hub's door on a real socket: noise, spoilt HTTP, spoilt WebSocket frames, hellos and sessions.

Whatever comes, the hub closes the connection in time, answers a bad frame with an error, and lets the next device in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import start_blocking_portal

from constellation_protocol.codec import decode, encode_text
from constellation_protocol.errors import RemoteProtocolError
from constellation_protocol.handshake import read_hello
from constellation_protocol.listener import DEVICE_PATH
from constellation_protocol.messages import Goodbye, Hello, ProtocolFault, Refuse, Welcome

from . import corpus
from .breach import CODES, Breach
from .knocking import BINARY, CLOSE, TEXT, Answers, Knocking, upgrade_request, websocket_frame
from .mutation import Frame, mutated, noise
from .target import Step

TOKEN = "token-of-the-fuzzer"
LIMIT = 4 * 1024 * 1024
CONTROL_OPENINGS = (
    '{"kind":"open","version":1,"token":"token-of-the-fuzzer"}',
    '{"kind":"request","number":1,"call":"runs","arguments":{"limit":5}}',
    '{"kind":"answer","number":1}',
)
WEBSOCKET_FAULTS = frozenset({1002, 1003, 1007, 1009})
"""The codes by which the WebSocket itself is closed for what never became a frame of AIP."""


class DoorTarget:
    """A hub in a thread of its own, and somebody at its door. Use it as a context manager."""

    name = "door"

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._port = 0
        self._visits = 0

    def __enter__(self) -> Self:
        from ...orchestrator.orchestrator import Orchestrator

        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="constellation-fuzz-")))
            portal = stack.enter_context(start_blocking_portal())
            opened: AbstractContextManager[Any] = portal.wrap_async_context_manager(
                Orchestrator.serve(journal=":memory:", home=folder, token=TOKEN)
            )
            hub = stack.enter_context(opened)
            self._port = int(hub.url.rpartition(":")[2].partition("/")[0])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def make(self, chance: Random) -> Sequence[Step]:
        """What is said on one connection."""
        match chance.randrange(10):
            case 0:
                return [("raw", _bytes(noise(chance)))]
            case 1:
                request = upgrade_request(chance.choice((DEVICE_PATH, "/control", "/", "/../aip")))
                return [("raw", _bytes(mutated(request, chance, lambda: request)))]
            case 2:
                frame = websocket_frame(chance.choice((TEXT, BINARY)), _bytes(corpus.frame(chance)))
                return [("upgrade", DEVICE_PATH), ("raw", _bytes(mutated(frame, chance, lambda: frame)))]
            case 3:
                opening = chance.choice(CONTROL_OPENINGS)
                spoilt = mutated(opening, chance, lambda: chance.choice(CONTROL_OPENINGS))
                return [("upgrade", "/control"), ("control", spoilt), ("control", chance.choice(CONTROL_OPENINGS))]
            case 4 | 5:
                return [("upgrade", DEVICE_PATH), ("say", mutated(_hello(), chance, lambda: corpus.frame(chance)))]
            case _:
                frames = [corpus.frame(chance) for _ in range(chance.randrange(1, 6))]
                some_spoilt = [
                    mutated(frame, chance, lambda: corpus.frame(chance)) if chance.random() < 0.5 else frame
                    for frame in frames
                ]
                return [("upgrade", DEVICE_PATH), ("say", _hello()), *(("say", frame) for frame in some_spoilt)]

    def run(self, steps: Sequence[Step]) -> str:
        """Say it, and see what comes of it; afterwards a device in good order has to be let in."""
        with Knocking(self._port) as knocking:
            fate = _visit(knocking, steps)
        self._visits += 1
        self._let_in(f"next-{self._visits % 100}")
        return fate

    def _let_in(self, name: str) -> None:
        with Knocking(self._port) as knocking:
            knocking.upgrade(DEVICE_PATH)
            knocking.frame(TEXT, _hello(name).encode())
            texts = knocking.answers(until_texts=1).texts
            if not texts or not isinstance(decode(texts[0], limit=LIMIT).messages[0], Welcome):
                raise Breach(f"after that, a device in good order is not let in: {texts!r:.300}")
            knocking.frame(TEXT, b'{"v":1,"seq":1,"messages":[{"kind":"goodbye","reason":"done"}]}')
            knocking.answers()


def _visit(knocking: Knocking, steps: Sequence[Step]) -> str:
    orderly = all(name != "raw" for name, _ in steps)
    said = [frame for name, frame in steps if name == "say"]
    bad = _first_objection(said) if orderly else None
    for name, content in steps:
        if name == "upgrade":
            knocking.upgrade(content)
        elif name == "raw":
            knocking.send(content)
        else:
            knocking.frame(TEXT if isinstance(content, str) else BINARY, _bytes(content))
    if not orderly:
        knocking.finish()
    elif bad is None:
        knocking.frame(CLOSE, b"\x03\xe8")
    answers = knocking.answers()
    if bad is not None:
        return _told(answers, bad)
    return f"closed with {answers.close_code}" if answers.head else "closed"


def _first_objection(frames: Sequence[Frame]) -> str | None:
    """By which rule of frames the first bad one is bad, unless the peer itself has ended the session before it.

    Whether a session takes the others is not said here.
    """
    for number, frame in enumerate(frames):
        try:
            messages = [read_hello(frame)] if number == 0 else decode(frame, limit=LIMIT).messages
        except RemoteProtocolError as error:
            return error.code
        if any(isinstance(message, ProtocolFault | Goodbye) for message in messages):
            return None
    return None


def _told(answers: Answers, bad: str) -> str:
    """The code by which a bad frame was answered: its own, or that of what was wrong before it came."""
    last = decode(answers.texts[-1], limit=LIMIT).messages[-1] if answers.texts else None
    if isinstance(last, ProtocolFault) and last.code in CODES:
        return last.code
    if isinstance(last, Refuse):
        return "refused"
    if answers.close_code in WEBSOCKET_FAULTS:
        return f"closed with {answers.close_code}"
    raise Breach(f"a frame that is bad ({bad}) is answered with {last!r:.200}, and closed with {answers.close_code}")


def _hello(name: str = "fuzz") -> str:
    return encode_text([Hello(device=name, token=TOKEN, profile=corpus.PROFILE).model_dump_json()])


def _bytes(frame: Frame) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode("utf-8", "surrogatepass")
