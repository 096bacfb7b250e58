"""The orchestrator's side of all sessions in the simulated world: `Acceptor` and `Hub` without tasks and sockets.

Handshakes, resuming and the translation of messages are the product's own code; what is here is the order in which they
are used, and that a batch of messages is acknowledged when the journal has what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from constellation_protocol.errors import Refused, RemoteProtocolError
from constellation_protocol.handshake import read_hello, version_refusal, write
from constellation_protocol.messages import (
    Accept,
    Drain,
    Hello,
    Message,
    ProfileUpdate,
    ProtocolFault,
    Refuse,
    Reject,
    Result,
    Welcome,
)
from constellation_protocol.states import Life, Role

from ..orchestrator.translation import assign_message, attempt_event, cancel_message, joined_event, offer_of
from ..orchestrator.turns import AnyEvent
from ..scheduling import DeviceId
from ..scheduling import commands as cmd
from ..scheduling.inputs import DeviceChanged, DeviceDraining, DeviceLeft
from .faults import Scene
from .network import End, Frame
from .peer import Peer
from .watch import Watch

HEARTBEAT_S = 1.0
RESUME_WINDOW_S = 4.0


class Engine(Protocol):
    """What takes events in."""

    def post(self, *events: AnyEvent) -> None:
        """Take events in that nobody waits for."""

    def ask(self, events: Sequence[AnyEvent], done: Callable[[], None]) -> None:
        """Take events in, and say when what follows from them is stored and under way."""


class _Served:
    """A session that is served."""

    __slots__ = ("epoch", "name", "peer", "serving")

    def __init__(self, peer: Peer, name: DeviceId, epoch: int) -> None:
        self.peer = peer
        self.name = name
        self.epoch = epoch
        self.serving = True


class SimulatedHub:
    """All sessions of one orchestrator, for as long as that lives."""

    def __init__(self, scene: Scene, watch: Watch, engine: Engine) -> None:
        self._scene = scene
        self._engine = engine
        self._watch = watch
        self._sessions: dict[str, _Served] = {}
        self._devices: dict[DeviceId, _Served] = {}
        self._epoch = 0
        self._alive = True

    def die(self) -> None:
        """Stop in the middle of whatever it does."""
        self._alive = False
        for served in self._sessions.values():
            served.peer.end = None

    # --- connections -------------------------------------------------------------------------------------------------

    def accept(self, end: End) -> None:
        """Wait for the hello of a new connection."""
        end.on_frame = lambda frame: self._opened(end, frame)

    def _opened(self, end: End, frame: Frame) -> None:
        answer: Refuse | ProtocolFault
        end.on_frame = lambda frame: None
        try:
            hello = read_hello(frame)
            refusal = version_refusal(hello)
            if refusal is not None:
                raise Refused(refusal.code, refusal.message)
            if hello.session is not None:
                self._resume(end, hello, hello.session)
            else:
                self._begin(end, hello)
            return
        except Refused as refused:
            answer = Refuse.model_validate({"code": refused.code, "message": refused.message, "retry": refused.retry})
        except RemoteProtocolError as error:
            answer = ProtocolFault(code=error.code, message=error.message)
        end.send(write(answer))
        end.close()

    def _resume(self, end: End, hello: Hello, session: str) -> None:
        served = self._sessions.get(session)
        if served is not None and served.name != hello.device:
            raise Refused("identity", "this session belongs to another device")
        if served is not None:
            served.peer.cut()
        if served is None or served.peer.session.ended:
            raise Refused("unknown-session", "the session has ended: open a new one")
        welcome = served.peer.session.welcome
        assert welcome is not None
        try:
            served.peer.attach(end, hello, welcome)
        except RemoteProtocolError as error:
            served.peer.finish(str(error))
            raise
        self._scene.trace.say(f"{hello.device} resumes {session}")

    def _begin(self, end: End, hello: Hello) -> None:
        name = DeviceId(hello.device)
        before = self._devices.get(name)
        if before is not None and before.peer.connected:
            raise Refused("identity", f"a device named {name!r} is connected already", retry=True)
        # As the product's hub does it: above every epoch of an earlier orchestrator, without having to remember them.
        self._epoch = max(self._epoch + 1, int(self._scene.clock.now * 1000))
        peer = Peer(self._scene, self._watch, Role.ORCHESTRATOR)
        served = _Served(peer, name, self._epoch)
        peer.on_messages = lambda messages: self._take_in(served, messages)
        peer.on_lost = lambda: self._lost(served)
        peer.on_ended = lambda reason: self._ended(served, reason)
        welcome = Welcome(
            session=f"{name}.{self._epoch}",
            epoch=self._epoch,
            heartbeat_s=HEARTBEAT_S,
            resume_window_s=RESUME_WINDOW_S,
            credits=self._scene.rng.choice([2, 16, 1024]),
        )
        self._sessions[welcome.session] = self._devices[name] = served
        self._scene.trace.say(f"{name} joins in epoch {self._epoch}, knowing {[*hello.running, *hello.finished]}")
        self._engine.post(joined_event(hello, hello.profile, self._epoch, self._scene.clock.now))
        peer.attach(end, hello, welcome)
        if before is not None:
            before.peer.close("replaced by a new session")

    def _lost(self, served: _Served) -> None:
        if self._alive:
            self._scene.clock.after(RESUME_WINDOW_S, self._give_up, served, self._scene.clock.now)

    def _give_up(self, served: _Served, lost_at: float) -> None:
        if self._alive and served.peer.end is None and not served.peer.session.ended:
            served.peer.finish(f"no connection for {RESUME_WINDOW_S:g} s")

    def _ended(self, served: _Served, reason: str) -> None:
        if not self._alive:
            return
        served.serving = False
        self._scene.trace.say(f"{served.name} leaves epoch {served.epoch}: {reason}")
        self._engine.post(DeviceLeft(self._scene.clock.now, served.name, served.epoch, reason))
        if self._devices.get(served.name) is served:
            del self._devices[served.name]
        welcome = served.peer.session.welcome
        assert welcome is not None
        del self._sessions[welcome.session]
        if served.peer.session.life is Life.LEAVING:
            served.peer.close(reason)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _take_in(self, served: _Served, messages: Sequence[Message]) -> None:
        now = self._scene.clock.now
        name, epoch = served.name, served.epoch
        events: list[AnyEvent] = []
        for message in messages:
            if isinstance(message, (Accept, Reject, Result)):
                event = attempt_event(message, name, now)
                if event is not None:
                    events.append(event)
            elif isinstance(message, ProfileUpdate):
                events.append(DeviceChanged(now, name, epoch, offer_of(message.profile)))
            elif isinstance(message, Drain):
                events.append(DeviceDraining(now, name, epoch))
        if events:
            self._engine.ask(events, served.peer.settle)
        else:
            served.peer.settle()

    def dispatch(self, command: cmd.Dispatch) -> None:
        """Send an attempt to its device; one that has gone meanwhile is reported by its session."""
        served = self._devices.get(command.device)
        if served is not None and served.epoch == command.epoch:
            message = assign_message(command)
            self._watch.sent(message)
            served.peer.post(message)

    def cancel(self, command: cmd.CancelAttempt) -> None:
        """Tell a device to stop an attempt."""
        served = self._devices.get(command.device)
        if served is not None and served.epoch == command.epoch:
            served.peer.post(cancel_message(command))
