"""The hub: the links to all devices, and the translation between their messages and the scheduler's events.

Each device has an outbox of its own and a task that empties it, so that one that is slow holds up nobody else. What a
device has sent counts as taken in only when the journal has what follows from it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from constellation_protocol.direct import direct_link
from constellation_protocol.errors import LinkClosed, LocalProtocolError, Refused, RemoteProtocolError
from constellation_protocol.link import Link
from constellation_protocol.messages import (
    Accept,
    Assign,
    Drain,
    Hello,
    Message,
    ProfileUpdate,
    Progress,
    Reject,
    Result,
    Welcome,
)
from constellation_protocol.tasks import background

from ..scheduling import DeviceId
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.events import parse_attempt
from ..scheduling.inputs import DeviceChanged, DeviceDraining, DeviceLeft
from .engine import Engine
from .errors import OrchestratorStopped
from .translation import assign_message, attempt_event, cancel_message, joined_event, offer_of, unfit_event

MAX_DEVICES = 10_000
"""How many devices may be connected at once."""

_ANY_DEVICE = "*"


class ConnectedDevice:
    """A device with an open session.

    Attributes:
        profile: What it last said of itself.
        draining: It takes nothing new.
    """

    def __init__(self, link: Link, transfers: Any) -> None:
        self.link = link
        self.name = DeviceId(link.hello.device)
        self.epoch = link.welcome.epoch
        self.profile = link.hello.profile
        self.draining = False
        self.transfers = transfers
        self._outbox: list[Message] = []
        self._filled = anyio.Event()

    def post(self, message: Message) -> None:
        """Send a message some time soon; its number is bounded by the device's slots."""
        if not self._outbox:
            self._filled.set()
        self._outbox.append(message)

    async def send_posted(self, on_unfit: Callable[[Message, str], None]) -> None:
        """Send what is posted, for as long as the session lasts; `on_unfit` is told what no frame can hold, and why."""
        while True:
            while not self._outbox:
                self._filled = anyio.Event()
                await self._filled.wait()
            messages, self._outbox = self._outbox, []
            try:
                await self.link.send(*messages)  # all of them or, when one does not fit, none
            except LocalProtocolError:
                await self._send_singly(messages, on_unfit)

    async def _send_singly(self, messages: Sequence[Message], on_unfit: Callable[[Message, str], None]) -> None:
        for message in messages:
            try:
                await self.link.send(message)
            except LocalProtocolError as error:
                on_unfit(message, str(error))


class Hub:
    """All connected devices.

    Attributes:
        devices: The devices by name.
        url: Where devices dial; empty while only devices in this process can join.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: TaskGroup,
        *,
        artifacts: Path,
        on_progress: Callable[[ev.RunId, str, str, Progress], None],
        on_fleet: Callable[[ConnectedDevice, str | None], None],
    ) -> None:
        """Make a hub.

        Args:
            engine: Takes the events in.
            tasks: Where the sessions of devices in this process run.
            artifacts: The directory of the files that travel.
            on_progress: Is told what running stars report.
            on_fleet: Is told of devices that have joined, or, with a reason, are gone.
        """
        from constellation_protocol.artifacts import ArtifactStore

        self.devices: dict[DeviceId, ConnectedDevice] = {}
        self.url = ""
        self.store = ArtifactStore(artifacts)
        self._engine = engine
        self._tasks = tasks
        self._on_progress = on_progress
        self._on_fleet = on_fleet
        self._tokens: dict[str, str] = {}
        self._epoch = 0
        self._changed = anyio.Event()

    # --- the door ----------------------------------------------------------------------------------------------------

    def issue_token(self, device: str) -> str:
        """Make a token that lets the device of this name in, or give the one it has."""
        return self._tokens.setdefault(device, secrets.token_urlsafe(32))

    def allow(self, token: str, *, device: str = _ANY_DEVICE) -> None:
        """Let in whoever shows this token, as the device named or as any."""
        self._tokens[device] = token

    def tokens(self) -> dict[str, str]:
        """The tokens by device name, for a fleet that is to outlive this process."""
        return dict(self._tokens)

    def open_direct(self, hello: Hello) -> Link:
        """Open a session for a device in this process and return its side of the link."""
        self._check_free(hello)
        welcome = Welcome(session=secrets.token_urlsafe(16), epoch=self._next_epoch())
        ours, theirs = direct_link(hello, welcome)
        self._tasks.start_soon(self.serve, ours)
        return theirs

    async def authenticate(self, hello: Hello) -> None:
        """Check the token of a connection; raises Refused."""
        shown = (hello.token or "").encode()
        expected = [token for name in (hello.device, _ANY_DEVICE) if (token := self._tokens.get(name)) is not None]
        if not any(hmac.compare_digest(shown, token.encode()) for token in expected):
            raise Refused("authentication", f"the token is not valid for a device named {hello.device!r}")

    async def admit(self, hello: Hello) -> int:
        """Give a new session its epoch; raises Refused when there is no room or the name is taken."""
        self._check_free(hello)
        if len(self.devices) >= MAX_DEVICES:
            raise Refused("limit", f"this hub has {MAX_DEVICES} devices already", retry=True)
        return self._next_epoch()

    def _check_free(self, hello: Hello) -> None:
        present = self.devices.get(DeviceId(hello.device))
        if present is not None and present.link.connected:
            raise Refused(
                "identity",
                f"a device named {hello.device!r} is connected already; give this one another name",
                retry=True,
            )

    def _next_epoch(self) -> int:
        # Above every epoch of an earlier orchestrator on the same journal, without having to remember them.
        self._epoch = max(self._epoch + 1, int(time.time() * 1000))
        return self._epoch

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def serve(self, link: Link) -> None:
        """Serve one session until it ends."""
        from constellation_protocol.transfer import ArtifactTransfers

        device = ConnectedDevice(link, ArtifactTransfers(link, self.store))
        before = self.devices.get(device.name)
        self.devices[device.name] = device
        reason = "it stopped"
        try:
            # Before the end of an earlier session is told, so that what goes on is not taken for lost.
            self._engine.post(joined_event(link.hello, device.epoch, self._engine.clock()))
            self._tell(device, None)
            if before is not None:
                await before.link.aclose("replaced by a new session")
            async with background() as tasks:
                tasks.start_soon(self._until_closed, partial(device.send_posted, partial(self._unfit, device)))
                tasks.start_soon(self._until_closed, device.transfers.run)
                try:
                    while True:
                        await self._take_in(device, await link.receive())
                finally:
                    tasks.cancel_scope.cancel()
        except LinkClosed as closed:
            reason = closed.reason or reason
        except RemoteProtocolError as error:
            reason = f"it broke the rules of the protocol: {error}"
        except OrchestratorStopped:
            reason = "the orchestrator is stopping"
        finally:
            self._engine.post(DeviceLeft(self._engine.clock(), device.name, device.epoch, reason))
            if self.devices.get(device.name) is device:
                del self.devices[device.name]
                self._tell(device, reason)
            with anyio.CancelScope(shield=True):
                await link.aclose(reason)

    async def _until_closed(self, work: Callable[[], Any]) -> None:
        """Run a task of a session; that the session has ended is found out by the one that receives."""
        try:
            await work()
        except LinkClosed:
            return

    async def drop(self, name: str, reason: str) -> None:
        """End a device's session because the device is known to be gone."""
        device = self.devices.get(DeviceId(name))
        if device is not None:
            await device.link.aclose(reason)

    async def wait_changed(self) -> None:
        """Wait until a device joins, leaves, or offers something else."""
        await self._changed.wait()

    def _tell(self, device: ConnectedDevice, gone: str | None) -> None:
        self._changed.set()
        self._changed = anyio.Event()
        self._on_fleet(device, gone)

    # --- messages in -------------------------------------------------------------------------------------------------

    async def _take_in(self, device: ConnectedDevice, messages: Sequence[Message]) -> None:
        events: list[Any] = []
        now = self._engine.clock()
        for message in messages:
            if isinstance(message, (Result, Accept, Reject)):
                event = attempt_event(message, device.name, now)
                if event is not None:
                    events.append(event)
            elif isinstance(message, Progress):
                where = parse_attempt(message.attempt)
                if where is not None:
                    self._on_progress(*where, device.name, message)
            elif isinstance(message, ProfileUpdate):
                device.profile = message.profile
                events.append(DeviceChanged(now, device.name, device.epoch, offer_of(message.profile)))
            elif isinstance(message, Drain):
                device.draining = True
                events.append(DeviceDraining(now, device.name, device.epoch))
            else:
                device.transfers.handle(message)
        if events:
            await self._engine.ask(*events)
        if any(isinstance(message, ProfileUpdate) for message in messages):
            self._changed.set()
            self._changed = anyio.Event()

    # --- messages out ------------------------------------------------------------------------------------------------

    def dispatch(self, command: cmd.Dispatch) -> None:
        """Send an attempt to its device; one that has gone meanwhile is reported by its session."""
        device = self.devices.get(command.device)
        if device is None or device.epoch != command.epoch:
            return
        device.post(assign_message(command))

    def _unfit(self, device: ConnectedDevice, message: Message, reason: str) -> None:
        """An attempt that can't be put into a frame has failed; nothing else that is posted can be too large."""
        if isinstance(message, Assign):
            event = unfit_event(message, device.name, reason, self._engine.clock())
            if event is not None:
                self._engine.post(event)

    def cancel(self, command: cmd.CancelAttempt) -> None:
        """Tell a device to stop an attempt."""
        device = self.devices.get(command.device)
        if device is not None and device.epoch == command.epoch:
            device.post(cancel_message(command))
