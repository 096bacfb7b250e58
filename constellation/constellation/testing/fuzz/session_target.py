"""Fuzzing the session: one side of it against a peer that mostly keeps to the rules, and now and then to none.

To make an input, a real session plays the peer, so that numbers, credits and acknowledgements fit; some of its frames
are spoilt, repeated, swapped or made up. What the session under test was given is written down as steps, which is all
that carrying the input out again needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

from constellation_protocol.codec import as_json, encode_text
from constellation_protocol.errors import ProtocolError
from constellation_protocol.messages import Ack, ArtifactChunk, Goodbye, Hello, Limits, Ping, Welcome
from constellation_protocol.session import Session
from constellation_protocol.states import Role, Wire

from . import corpus
from .mutation import Frame, mutated, noise
from .target import Step
from .watched import WatchedSession

RULES = Welcome(session="the-session", epoch=3, credits=8, limits=Limits(max_frame_bytes=8192, max_unacked_bytes=4096))
MOST_STEPS = 40


class SessionTarget:
    """Gives a session frames, takes from it, sends through it, cuts its connections and mends them."""

    name = "session"

    def make(self, chance: Random) -> Sequence[Step]:
        """Steps of a session: the first says which side it is."""
        return _Maker(chance).make()

    def run(self, steps: Sequence[Step]) -> str:
        """Carry the steps out; returns the code of the error that ended the session, or how far it came."""
        watched: WatchedSession | None = None
        for name, *arguments in steps:
            if name == "begin":
                watched = WatchedSession(Role(arguments[0]), RULES)
            elif watched is not None:
                getattr(watched, name)(*arguments)
        return watched.fate if watched is not None else "nothing"


class _Maker:
    """Makes one input by playing it."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._role = chance.choice((Role.DEVICE, Role.ORCHESTRATOR))
        self._peer = Session(Role.ORCHESTRATOR if self._role is Role.DEVICE else Role.DEVICE)
        self._watched = WatchedSession(self._role, RULES)
        self._steps: list[Step] = [("begin", self._role.value)]
        self._reliable = chance.random() < 0.25
        self._spare: list[Frame] = []

    def make(self) -> list[Step]:
        with suppress(Exception):  # what has broken breaks again when the steps are carried out
            for _ in range(self._chance.randrange(3, MOST_STEPS)):
                if self._watched.over:
                    break
                self._one_step()
        return self._steps

    def _do(self, name: str, *arguments: object) -> None:
        self._steps.append((name, *arguments))
        getattr(self._watched, name)(*arguments)
        with suppress(ProtocolError):  # what the peer makes of what the spoilt session says is not looked at
            for frame in self._watched.said():
                self._peer.receive_frame(frame, 0.0)

    def _one_step(self) -> None:
        chance = self._chance
        if self._watched.session.wire is Wire.DETACHED:
            self._connect()
            return
        match chance.randrange(12):
            case 0:
                self._do("take")
            case 1:
                self._do("settle")
            case 2:
                self._do("send", chance.randrange(20), chance.randrange(1, 4))
            case 3:
                self._do("tick", chance.choice((0.1, 5.0, 30.0)))
            case 4 if chance.random() < 0.3:
                self._do("cut")
                self._peer.disconnected()
            case 5 if chance.random() < 0.1:
                self._do("close")
            case _:
                self._peer_speaks()

    def _connect(self) -> None:
        """A new connection, on which the peer may say that it is anywhere."""
        chance, peer = self._chance, self._peer
        received = None if self._reliable or chance.random() < 0.9 else chance.choice((0, 1, 7, 10**6, 2**62))
        try:
            if self._role is Role.ORCHESTRATOR:
                peer.send_hello(corpus.HELLO)
                peer.next_frame()
                self._do("hello", self._heard_by_peer() if received is None else received)
                return
            self._do("dial")
            peer.send_welcome(Hello(device="shed", received=received or 0), RULES, 0.0)
            frame = peer.next_frame()
        except ProtocolError:
            peer.disconnected()  # the peer's session is over or can't go on: it makes a welcome up
            frame = encode_text(
                [RULES.model_copy(update={"resumed": True, "received": received or 0}).model_dump_json()]
            )
        if frame is not None:
            self._do("receive", self._treated(frame))

    def _heard_by_peer(self) -> int:
        hello = self._peer.hello
        return hello.received if hello is not None else 0

    def _peer_speaks(self) -> None:
        chance, peer = self._chance, self._peer
        with suppress(ProtocolError):
            for _ in range(chance.randrange(4)):
                if peer.room:
                    peer.queue(peer.encode(chance.choice(corpus.OF_ROLE[peer.role])))
            peer.take()
            peer.settle()
            if chance.random() < 0.02:
                peer.close("done")
        frame = self._flood() if not self._reliable and chance.random() < 0.04 else peer.next_frame()
        if frame is None:
            frame = encode_text([Ping(nonce=5).model_dump_json() if self._reliable else self._small_talk()])
        self._spare.append(frame)
        if not self._reliable and chance.random() < 0.03:
            frame = chance.choice(self._spare)  # again, or out of order
        self._do("receive", self._treated(frame))

    def _flood(self) -> str:
        """Messages that follow on those sent, and that there may be no credit for."""
        messages = self._chance.choices(corpus.OF_ROLE[self._peer.role], k=self._chance.randrange(1, 30))
        texts = [as_json(message) for message in messages if not isinstance(message, ArtifactChunk)]
        return encode_text(texts, seq=self._peer.sent + 1)

    def _small_talk(self) -> str:
        chance = self._chance
        match chance.randrange(4):
            case 0:
                return Ping(nonce=chance.choice((0, 5, -(10**30)))).model_dump_json()
            case 1:
                return Ack(received=chance.choice((0, 1, 5, 10**9, 2**62)), credits=8).model_dump_json()
            case 2:
                return Ack(received=0, credits=chance.choice((0, 8, 2**62))).model_dump_json()
            case _:
                return Goodbye(reason="x" * chance.choice((0, 10, 5000))).model_dump_json()

    def _treated(self, frame: Frame) -> Frame:
        chance = self._chance
        if self._reliable or chance.random() < 0.93:
            return frame
        if chance.random() < 0.1:
            return noise(chance)
        return mutated(frame, chance, lambda: corpus.frame(chance))
