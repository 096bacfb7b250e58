"""The network between devices and the orchestrator: frames take their time, and connections are lost in all ways.

Within a connection frames arrive in order, as they do on a WebSocket, unless the network is hostile. A cut loses what
is on the way; either end may be told of it or not (half-open). A partition of one direction or both holds frames back
until it heals, and lets no new connection through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from .faults import Scene

Frame = str | bytes
Direction = Literal["up", "down"]
"""From a device to the orchestrator, or back."""

NOTICE_S = 0.2
"""How long it takes at most until an end is told that its connection is gone."""


class End:
    """One end of a connection; whoever uses it sets what is to be done with frames, and with the loss.

    Attributes:
        on_frame: Is given what comes.
        on_lost: Is told, once, that the connection is gone for another reason than this end's own.
    """

    def __init__(self, scene: Scene, network: Network, device: str, direction: Direction) -> None:
        self.on_frame: Callable[[Frame], None] = _ignore
        self.on_lost: Callable[[], None] = _nothing
        self.open = True
        self._scene = scene
        self._network = network
        self._device = device
        self._direction: Direction = direction
        self._last_at = 0.0
        self._severed = False
        self.other: End

    def send(self, frame: Frame) -> None:
        """Send a frame; one that is sent over a lost connection is lost with it."""
        scene = self._scene
        if not self.open or self._severed:
            return
        at = max(scene.clock.now + scene.soon(), self._last_at)
        self._last_at = at
        if scene.hostile and scene.chance(0.04):
            scene.trace.fault("frame overtaken", self._device)
            scene.clock.at(at + 2 * scene.soon(), self._arrive, frame)
            return
        scene.clock.at(at, self._arrive, frame)
        if scene.hostile and scene.chance(0.06):
            scene.trace.fault("frame repeated", self._device)
            scene.clock.at(at + scene.soon(), self._arrive, frame)

    def _arrive(self, frame: Frame) -> None:
        heals_at = self._network.blocked_until(self._device, self._direction)
        if heals_at > self._scene.clock.now:
            self._scene.clock.at(heals_at, self._arrive, frame)
        elif self.other.open and not self._severed:
            self.other.on_frame(frame)

    def close(self) -> None:
        """Close in good order: what was sent still arrives, and then the other end is told."""
        if self.open:
            self.open = False
            at = max(self._last_at, self._scene.clock.now + self._scene.soon())
            self._scene.clock.at(at, self.other._lose)

    def abort(self) -> None:
        """Give the connection up: what is on the way is lost, and the other end is told if it can be."""
        if self.open:
            self.open = False
            self.sever()
            if self._network.blocked_until(self._device, self._direction) <= self._scene.clock.now:
                self._scene.clock.after(self._scene.rng.uniform(0, NOTICE_S), self.other._lose)

    def sever(self) -> None:
        """Lose what is on the way, and whatever will be sent; nobody is told."""
        self._severed = self.other._severed = True

    def notice(self) -> None:
        """Find out, after a while, that the connection is gone."""
        self._scene.clock.after(self._scene.rng.uniform(0, NOTICE_S), self._lose)

    def _lose(self) -> None:
        if self.open:
            self.open = False
            self.on_lost()


class Network:
    """All connections.

    Attributes:
        accept: Takes the orchestrator's end of a new connection; None while nobody listens.
    """

    def __init__(self, scene: Scene) -> None:
        self.accept: Callable[[End], None] | None = None
        self._scene = scene
        self._blocked: dict[tuple[str, Direction], float] = {}
        self._ends: dict[str, End] = {}

    def connect(self, device: str) -> End | None:
        """Make a connection and return the device's end; None when the orchestrator can't be reached."""
        now = self._scene.clock.now
        if self.accept is None or any(self.blocked_until(device, way) > now for way in ("up", "down")):
            return None
        ours = End(self._scene, self, device, "up")
        theirs = End(self._scene, self, device, "down")
        ours.other, theirs.other = theirs, ours
        self._ends[device] = ours
        self.accept(theirs)
        return ours

    def blocked_until(self, device: str, direction: Direction) -> float:
        """Until when nothing gets through in a direction."""
        return self._blocked.get((device, direction), 0.0)

    def cut(self, device: str) -> None:
        """Cut a device's connection; each end may be told of it, or left to find out."""
        end = self._ends.get(device)
        if end is None or not (end.open or end.other.open):
            return
        end.sever()
        told = [side for side in (end, end.other) if self._scene.rng.random() < 0.7]
        self._scene.trace.fault("connection cut" if len(told) == 2 else "connection half open", device)
        for side in told:
            side.notice()

    def partition(self, device: str, *, ways: Sequence[Direction], for_s: float) -> None:
        """Let nothing through to or from a device for a while."""
        self._scene.trace.fault("partition one way" if len(ways) == 1 else "partition", f"{device} for {for_s:.2f} s")
        for way in ways:
            self._blocked[device, way] = self._scene.clock.now + for_s

    def orchestrator_died(self) -> None:
        """The process at the other end of all connections is gone: its host says so, unless it went with it."""
        self.accept = None
        told = self._scene.rng.random() < 0.7
        for end in self._ends.values():
            end.sever()
            end.other.open = False
            if told:
                end.notice()


def _ignore(frame: Frame) -> None:
    """Nobody listens at this end."""


def _nothing() -> None:
    """Nobody wants to know."""
