"""Two sessions over a connection that is cut at random: nothing lost, nothing twice, order kept, buffers bounded."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from constellation_protocol import Assign, Hello, Limits, Message, Progress, ToolWork, Welcome
from constellation_protocol.handshake import read_hello
from constellation_protocol.messages import ArtifactChunk
from constellation_protocol.session import Session
from constellation_protocol.states import Role, Wire

CREDITS = 5
RULES = Welcome(session="s", epoch=1, credits=CREDITS, limits=Limits(max_unacked_bytes=2048))
DIGEST = "cd" * 32


class Side:
    """A session, what was sent and received through it, and the frames on their way to it."""

    def __init__(self, role: Role) -> None:
        self.session = Session(role)
        self.sent: list[Message] = []
        self.received: list[Message] = []
        self.acked: list[Message] = []
        self.settled = 0
        self.incoming: deque[str | bytes] = deque()

    def send(self, size: int) -> None:
        number = len(self.sent)
        message: Message
        if size % 3 == 0:
            message = ArtifactChunk(sha256=DIGEST, offset=number, data=bytes(size))
        elif self.session.role is Role.DEVICE:
            message = Progress(attempt="a", epoch=1, text="x" * size, data=number)
        else:
            message = Assign(run="r", star="s", attempt=str(number), epoch=1, name="x" * size, work=ToolWork(tool="t"))
        self.session.queue(self.session.encode(message))
        self.sent.append(message)

    def take(self) -> None:
        self.received += self.session.take()

    def settle(self) -> None:
        self.session.settle()
        self.settled = len(self.received)

    def note_acked(self) -> None:
        self.acked += self.session.acked()


class LossyConnection(RuleBasedStateMachine):
    """Moves one frame at a time between the sessions, cuts the connection and mends it."""

    def __init__(self) -> None:
        super().__init__()
        self.device = Side(Role.DEVICE)
        self.orchestrator = Side(Role.ORCHESTRATOR)
        self.sides = (self.device, self.orchestrator)
        self.mend()

    @property
    def cut_off(self) -> bool:
        return self.device.session.wire is not Wire.ATTACHED

    def other(self, side: Side) -> Side:
        return self.orchestrator if side is self.device else self.device

    def mend(self) -> None:
        self.device.session.send_hello(Hello(device="d"))
        hello = self.device.session.next_frame()
        assert hello is not None
        self.orchestrator.session.send_welcome(read_hello(hello), RULES, 0.0)
        welcome = self.orchestrator.session.next_frame()
        assert welcome is not None
        self.device.session.receive_frame(welcome, 0.0)

    sides_at_random = st.sampled_from(["device", "orchestrator"])

    @rule(name=sides_at_random, size=st.integers(0, 600))
    def send(self, name: str, size: int) -> None:
        side: Side = getattr(self, name)
        if side.session.room:
            side.send(size)

    @rule(name=sides_at_random)
    def transmit(self, name: str) -> None:
        side: Side = getattr(self, name)
        frame = side.session.next_frame()
        if frame is not None:
            self.other(side).incoming.append(frame)

    @rule(name=sides_at_random)
    def deliver(self, name: str) -> None:
        side: Side = getattr(self, name)
        if side.incoming:
            side.session.receive_frame(side.incoming.popleft(), 0.0)
            side.note_acked()

    @rule(name=sides_at_random)
    def carry_all(self, name: str) -> None:
        side: Side = getattr(self, name)
        while (frame := side.session.next_frame()) is not None:
            self.other(side).incoming.append(frame)
        while self.other(side).incoming:
            self.deliver("orchestrator" if side is self.device else "device")

    @rule(name=sides_at_random)
    def take(self, name: str) -> None:
        getattr(self, name).take()

    @rule(name=sides_at_random)
    def settle(self, name: str) -> None:
        getattr(self, name).settle()

    @precondition(lambda self: not self.cut_off)
    @rule()
    def cut(self) -> None:
        for side in self.sides:
            side.incoming.clear()
            side.session.disconnected()

    @precondition(lambda self: not self.cut_off)
    @rule()
    def half_noticed_cut(self) -> None:
        """The device has reconnected before the orchestrator noticed that the connection was lost."""
        self.cut()
        self.reconnect()

    @precondition(lambda self: self.cut_off)
    @rule()
    def reconnect(self) -> None:
        self.mend()
        for side in self.sides:
            side.note_acked()

    @invariant()
    def order_is_kept_and_nothing_comes_twice(self) -> None:
        for side in self.sides:
            source = self.other(side)
            assert side.received == source.sent[: len(side.received)]

    @invariant()
    def only_what_was_settled_is_acknowledged(self) -> None:
        for side in self.sides:
            target = self.other(side)
            assert side.acked == side.sent[: len(side.acked)]
            assert len(side.acked) <= target.settled

    @invariant()
    def buffers_are_bounded(self) -> None:
        for side in self.sides:
            assert side.session.waiting <= CREDITS
            assert len(side.sent) - len(side.acked) <= CREDITS

    def teardown(self) -> None:
        if self.cut_off:
            self.reconnect()
        for _ in range(200):
            for side in self.sides:
                while (frame := side.session.next_frame()) is not None:
                    self.other(side).incoming.append(frame)
                while side.incoming:
                    side.session.receive_frame(side.incoming.popleft(), 0.0)
                side.note_acked()
                side.take()
                side.settle()
        for side in self.sides:
            assert side.acked == side.sent
            assert self.other(side).received == side.sent


LossyConnection.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestLossyConnection = pytest.mark.timeout(60)(LossyConnection.TestCase)
