"""What hosts a fake device in the simulated world: it dials, keeps the session, and lets time and misfortune happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from constellation_protocol.errors import Refused
from constellation_protocol.messages import Assign, Cancel, Drain, Message, Result
from constellation_protocol.states import Life, Role

from .clock import Alarm
from .device import FakeDevice
from .faults import Behaviour, Scene
from .network import End, Frame, Network
from .peer import Peer
from .watch import Watch

HANDSHAKE_S = 1.0
"""How long a device waits for the answer to its hello."""

GIVE_UP_S = 8.0
"""How long a device tries to mend a lost connection before it gives the session up."""


class DeviceHost:
    """A device in its process: both may be killed, stand still, and be started again."""

    def __init__(
        self,
        scene: Scene,
        network: Network,
        watch: Watch,
        device: FakeDevice,
        others: Sequence[FakeDevice],
    ) -> None:
        """Make a host that does not dial yet; `others` are the devices that this one may lie about."""
        self.device = device
        self._scene = scene
        self._network = network
        self._others = others
        self._watch = watch
        self._peer: Peer | None = None
        self._joined = False
        self._lost_at: float | None = None
        self._life = 0
        self._wakes_at = 0.0
        self._ends: dict[str, Alarm] = {}
        self._deaf: set[str] = set()

    # --- its own time ------------------------------------------------------------------------------------------------

    def _after(self, delay_s: float, action: Callable[..., None], *arguments: Any) -> Alarm:
        """Do something later, in this life of the device, and not while it stands still."""
        return self._scene.clock.after(delay_s, self._awake, self._life, action, arguments)

    def _awake(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if life != self._life:
            return
        if self._wakes_at > self._scene.clock.now:
            self._scene.clock.at(self._wakes_at, self._awake, life, action, arguments)
        else:
            action(*arguments)

    def stand_still(self, for_s: float) -> None:
        """Do nothing for a while, with all connections open."""
        self._scene.trace.fault("device silent", f"{self.device.id} for {for_s:.2f} s")
        self._wakes_at = self._scene.clock.now + for_s
        if self._peer is not None:
            self._peer.wakes_at = self._wakes_at

    def start(self) -> None:
        """Come to life and dial."""
        self._after(self._scene.soon(), self._dial)

    def kill(self, *, forget: bool = False) -> None:
        """Die, and come back after a while."""
        self._scene.trace.fault("device forgets" if forget else "device dies", self.device.id)
        self._life += 1
        self._wakes_at = 0.0
        peer, self._peer = self._peer, None
        if peer is not None and peer.end is not None:
            if self._scene.rng.random() < 0.3:
                peer.end.sever()  # the machine went with it: nobody tells the orchestrator
            else:
                peer.end.abort()
            peer.end.open = False
        self._ends.clear()
        self._deaf.clear()
        self.device.die(self._scene.rng, forget=forget)
        self._scene.clock.after(self._scene.rng.uniform(0.1, 3.0), self.start)

    # --- sessions ----------------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        if self._peer is not None and self._peer.end is not None:
            return
        end = self._network.connect(self.device.id)
        if end is None:
            self._try_again()
            return
        if self._peer is None or self._peer.session.ended:
            self._peer, self._joined, self._lost_at = self._new_peer(), False, None
        peer, life = self._peer, self._life
        peer.open(end, self.device.hello())
        receive = end.on_frame
        end.on_frame = lambda frame: self._awake(life, self._receive, (peer, receive, frame))
        self._after(HANDSHAKE_S, self._give_up_handshake, peer, end)

    def _new_peer(self) -> Peer:
        peer = Peer(self._scene, self._watch, Role.DEVICE)
        peer.on_messages = lambda messages: self._take(peer, messages)
        peer.on_acked = self._acked
        peer.on_lost = self._try_again
        peer.on_ended = lambda reason: self._ended(peer, reason)
        return peer

    def _receive(self, peer: Peer, receive: Callable[[Frame], None], frame: Frame) -> None:
        if peer is not self._peer:
            return
        try:
            receive(frame)
        except Refused as refusal:
            self._scene.trace.say(f"{self.device.id} is refused: {refusal}")
            if not refusal.retry:
                peer.finish(str(refusal))
            peer.cut()
            return
        if not self._joined and peer.session.welcome is not None:
            self._joined = True
            peer.post(*self.device.joined(peer.session.welcome.epoch))
        if peer.connected:
            self._lost_at = None

    def _give_up_handshake(self, peer: Peer, end: End) -> None:
        if peer is self._peer and peer.end is end and not peer.connected:
            peer.cut()

    def _try_again(self) -> None:
        now = self._scene.clock.now
        self._lost_at = now if self._lost_at is None else self._lost_at
        peer = self._peer
        if peer is not None and not peer.session.ended and now - self._lost_at > GIVE_UP_S:
            peer.finish(f"no connection for {GIVE_UP_S:g} s")
            return
        self._after(self._scene.rng.uniform(0.05, 0.6), self._dial)

    def _ended(self, peer: Peer, reason: str) -> None:
        self._scene.trace.say(f"{self.device.id}: the session has ended: {reason}")
        if peer.session.life is Life.LEAVING:
            peer.close(reason)
        if peer is self._peer:
            self._peer = None
            self.device.draining = False  # one that has drained is started again
            self._after(self._scene.rng.uniform(0.05, 0.6), self._dial)

    def drain(self) -> None:
        """Take nothing new, and leave when everything is done."""
        self._scene.trace.fault("device drains", self.device.id)
        self.device.draining = True
        self._say(Drain(reason="going"))
        self._leave_when_done()

    def change(self, *, slots: int) -> None:
        """Offer another number of slots from now on."""
        self._scene.trace.fault("device changes", f"{self.device.id} to {slots} slots")
        self._say(self.device.change(slots=slots))

    def _leave_when_done(self) -> None:
        if self.device.draining and self._peer is not None and not self.device.running and not self.device.kept:
            self._peer.close("drained")

    def _say(self, *messages: Message) -> None:
        if self._peer is not None and self._joined:
            self._peer.post(*messages)

    def _acked(self, messages: Sequence[Message]) -> None:
        results = [message for message in messages if isinstance(message, Result)]
        for result in results:
            if result.attempt in self.device.kept:
                self._watch.forgotten(result)
        self.device.acknowledged(results)
        self._leave_when_done()

    # --- work --------------------------------------------------------------------------------------------------------

    def _take(self, peer: Peer, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Assign):
                said, behaviour = self.device.take(message, self._choose)
                peer.post(*said)
                if behaviour is not None:
                    self._begin(message, behaviour)
            elif isinstance(message, Cancel):
                self._after(self._scene.soon(), self._cancel, message)
        peer.settle()

    def _choose(self) -> Behaviour:
        if self._scene.calm:
            return Behaviour.SUCCEEDS
        shares = self._scene.faults.behaviours
        return self._scene.rng.choices(list(shares), list(shares.values()))[0]

    def _begin(self, assign: Assign, behaviour: Behaviour) -> None:
        scene, attempt = self._scene, assign.attempt
        if behaviour is not Behaviour.SUCCEEDS:
            scene.trace.fault(f"work {behaviour.value}", attempt)
        takes_s = self.device.takes_s(scene.rng)
        limit_s = assign.timeout_s
        match behaviour:
            case Behaviour.HANGS | Behaviour.REJECTS | Behaviour.IGNORES:
                return
            case Behaviour.SUCCEEDS_AT_ONCE:
                self._succeed(attempt, 0.0, False)
                return
            case Behaviour.ANSWERS_LATE:
                self._deaf.add(attempt)
                takes_s, limit_s = (limit_s or 2.0) + scene.rng.uniform(0.5, 6.0), None
            case Behaviour.CRASHES | Behaviour.FORGETS:
                self._after(takes_s / 2, self._die_of, attempt, behaviour is Behaviour.FORGETS)
            case Behaviour.GOES_SILENT:
                self._after(takes_s / 2, self.stand_still, scene.rng.uniform(1.0, 12.0))
            case _:
                pass
        if limit_s is not None and takes_s > limit_s:
            self._ends[attempt] = self._after(limit_s, self._fail, attempt, "TimedOut")
        elif behaviour is Behaviour.FAILS:
            self._ends[attempt] = self._after(takes_s, self._fail, attempt, scene.rng.choice(["Flaky", "Fatal"]))
        else:
            lying = behaviour is Behaviour.LIES
            self._ends[attempt] = self._after(takes_s, self._succeed, attempt, takes_s, lying)

    def finish_all(self) -> None:
        """End whatever hangs: that was a fault, and it is over."""
        for attempt in self.device.running:
            if attempt not in self._ends or not self._ends[attempt].pending:
                self._after(self._scene.rng.uniform(0.0, 1.0), self._succeed, attempt, 1.0, False)
        self._deaf.clear()

    def _die_of(self, attempt: str, forget: bool) -> None:
        if attempt in self.device.running:
            self.kill(forget=forget)

    def _succeed(self, attempt: str, took_s: float, lying: bool) -> None:
        result = self.device.succeed(attempt, self._scene.rng, duration_s=took_s)
        if result is None:
            return
        self._say(result)
        if lying:
            self._say(*self.device.lies(result, self._others, self._scene.rng))

    def _fail(self, attempt: str, type: str) -> None:
        result = self.device.fail(attempt, type, "it broke")
        if result is not None:
            self._say(result)

    def _cancel(self, cancel: Cancel) -> None:
        if cancel.attempt in self._deaf:
            return
        result = self.device.cancel(cancel)
        if result is not None:
            self._say(result)
