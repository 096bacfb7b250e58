"""A link within one process: message objects change hands, with no codec and no session between.

Acknowledgement and credit mean what they mean on any link: messages count as taken in when their receiver asks for
more, and a sender waits while as many as the session's credits are untaken.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import LinkClosed
from .messages import Hello, Message, Welcome
from .session_link import OnAcked
from .signal import Signal


class _Lane:
    """One direction: messages waiting, and how many the receiver holds unacknowledged."""

    __slots__ = ("arrived", "credits", "held", "on_acked", "room", "waiting")

    def __init__(self, credits: int, on_acked: OnAcked | None) -> None:
        self.waiting: list[Message] = []
        self.held: list[Message] = []
        self.credits = credits
        self.on_acked = on_acked
        self.arrived = Signal()
        self.room = Signal()


class DirectLink:
    """One side of a link in this process; implements `Link`."""

    __slots__ = ("_ended", "_hello", "_incoming", "_outgoing", "_peer", "_welcome")

    def __init__(self, hello: Hello, welcome: Welcome, outgoing: _Lane, incoming: _Lane) -> None:
        self._hello = hello
        self._welcome = welcome
        self._outgoing = outgoing
        self._incoming = incoming
        self._ended: str | None = None
        self._peer: DirectLink

    @property
    def hello(self) -> Hello:
        """What the device said of itself when the session opened."""
        return self._hello

    @property
    def welcome(self) -> Welcome:
        """What the orchestrator answered."""
        return self._welcome

    @property
    def connected(self) -> bool:
        """Whether the link is open: there is nothing between the sides that could be cut."""
        return self._ended is None

    async def send(self, *messages: Message) -> None:
        """Queue messages in order; see `Link.send`."""
        lane = self._outgoing
        sent = 0
        while sent < len(messages):
            room = lane.credits - len(lane.waiting) - len(lane.held)
            if self._ended is not None:
                raise LinkClosed(self._ended)
            if room <= 0:
                await lane.room.wait()
                continue
            lane.waiting += messages[sent : sent + room]
            sent += room
            lane.arrived.notify()

    async def receive(self) -> Sequence[Message]:
        """Wait for messages; see `Link.receive`."""
        lane = self._incoming
        if lane.held:
            held, lane.held = lane.held, []
            lane.room.notify()
            if lane.on_acked is not None:
                lane.on_acked(held)
        while not lane.waiting:
            if self._ended is not None:
                raise LinkClosed(self._ended)
            await lane.arrived.wait()
        lane.held, lane.waiting = lane.waiting, []
        return lane.held

    async def aclose(self, reason: str = "") -> None:
        """End the session for both sides; what was sent before can still be received."""
        if self._ended is None:
            self._end(reason or "closed by this side")
            self._peer._end(f"the peer said goodbye: {reason}" if reason else "the peer said goodbye")

    def _end(self, reason: str) -> None:
        self._ended = reason
        for signal in (self._incoming.arrived, self._outgoing.room):
            signal.notify()


def direct_link(hello: Hello, welcome: Welcome, *, on_acked: OnAcked | None = None) -> tuple[DirectLink, DirectLink]:
    """Make a link within this process.

    Args:
        hello: What the device says of itself.
        welcome: What the orchestrator answers; its `credits` bound what is on the way.
        on_acked: Is told which of the device's messages the orchestrator has taken in.

    Returns:
        The orchestrator's side and the device's.
    """
    hello = hello.model_copy(update={"token": None})
    to_device, to_orchestrator = _Lane(welcome.credits, None), _Lane(welcome.credits, on_acked)
    orchestrator = DirectLink(hello, welcome, to_device, to_orchestrator)
    device = DirectLink(hello, welcome, to_orchestrator, to_device)
    orchestrator._peer, device._peer = device, orchestrator
    return orchestrator, device
