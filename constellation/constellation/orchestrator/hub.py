"""The hub: the links to all devices, and the translation between their messages and the scheduler's events.

Each device has an outbox of its own and a task that empties it, so that one that is slow holds up nobody else. What a
device has sent counts as taken in only when the journal has what follows from it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from constellation_protocol.direct import DirectLink, direct_link
from constellation_protocol.errors import LinkClosed, LocalProtocolError, Refused, RemoteProtocolError
from constellation_protocol.link import Link
from constellation_protocol.messages import (
    Accept,
    Assign,
    DeviceProfile,
    Drain,
    ErrorInfo,
    Hello,
    Message,
    ProfileUpdate,
    Progress,
    Reject,
    Result,
    Welcome,
)
from constellation_protocol.tasks import background
from constellation_protocol.transport import Peer

from ..scheduling import DeviceId
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.events import parse_attempt
from ..scheduling.inputs import DeviceChanged, DeviceDraining, DeviceLeft
from .credentials import Grant
from .door import Door
from .engine import Engine
from .errors import OrchestratorStopped, RunInUse
from .limits import HubLimits
from .quotas import ArtifactQuota
from .translation import assign_message, attempt_event, cancel_message, joined_event, offer_of, readable, unfit_event

_log = logging.getLogger(__name__)


class ConnectedDevice:
    """A device with an open session.

    Attributes:
        profile: What it last said of itself, as far as it is permitted to.
        ignored_tools: The tools that it said it has, and may not offer.
        ignored_labels: The labels that it said it has, and may not claim.
        draining: It takes nothing new.
        in_process: It lives in this process, for as long as its session, and can't go to another orchestrator.
    """

    def __init__(self, link: Link, transfers: Any, grant: Grant) -> None:
        self.link = link
        self.in_process = isinstance(link, DirectLink)
        self.grant = grant
        self.name = DeviceId(link.hello.device)
        self.epoch = link.welcome.epoch
        self.ignored_tools: tuple[str, ...] = ()
        self.ignored_labels: tuple[str, ...] = ()
        self.profile = self.describe(link.hello.profile)
        self.draining = False
        self.barred = anyio.CancelScope()
        self.barred_because = ""
        self.transfers = transfers
        self._outbox: list[Message] = []
        self._filled = anyio.Event()

    def describe(self, profile: DeviceProfile) -> DeviceProfile:
        """Take in what the device says of itself, and return what of it may count."""
        self.profile, self.ignored_tools, self.ignored_labels = self.grant.restrict(profile)
        if self.ignored_tools or self.ignored_labels:
            _log.warning(
                "device %r says that it has %d tools and %d labels which it may not have, such as %r: they are ignored",
                self.name,
                len(self.ignored_tools),
                len(self.ignored_labels),
                (self.ignored_tools + self.ignored_labels)[0][:100],
            )
        return self.profile

    def bar(self, reason: str) -> None:
        """Take nothing more from it, and end its session."""
        self.barred_because = reason
        self.barred.cancel()

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
        door: Says who is let in.
        limits: How much is taken from outside.
        quota: What runs have taken of that.
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
        self.limits = HubLimits()
        self.store = ArtifactStore(artifacts, reserve_bytes=self.limits.disk_reserve_bytes)
        self._engine = engine
        self._tasks = tasks
        self._on_progress = on_progress
        self._on_fleet = on_fleet
        self.door = Door()
        self.quota = ArtifactQuota()
        self._grants: dict[int, Grant] = {}
        self._epoch = 0
        self._changed = anyio.Event()

    def limit(self, limits: HubLimits) -> None:
        """Take no more from outside than this."""
        self.limits = limits
        self.store.reserve_bytes = limits.disk_reserve_bytes

    # --- the door ----------------------------------------------------------------------------------------------------

    def issue_token(self, device: str) -> str:
        """Make a token that lets the device of this name in, or give the one it has."""
        return self.door.issue_token(device)

    def open_direct(self, hello: Hello) -> Link:
        """Open a session for a device in this process and return its side of the link."""
        self._check_free(hello)
        welcome = Welcome(session=secrets.token_urlsafe(16), epoch=self._next_epoch(Grant()))
        ours, theirs = direct_link(hello, welcome)
        self._tasks.start_soon(self.serve, ours)
        return theirs

    async def authenticate(self, hello: Hello, peer: Peer) -> Grant:
        """What the device on a new connection may do; raises Refused when it is not let in."""
        return self.door.device(hello, peer)

    async def admit(self, hello: Hello, grant: Grant) -> int:
        """Give a new session its epoch; raises Refused when there is no room or the name is taken."""
        self._check_free(hello)
        if len(self.devices) >= self.limits.devices:
            raise Refused("limit", f"this hub has {self.limits.devices} devices already", retry=True)
        return self._next_epoch(grant)

    def recheck(self) -> None:
        """End the sessions of devices whose tokens are worth nothing any more."""
        for device in list(self.devices.values()):
            self._recheck(device)

    def _recheck(self, device: ConnectedDevice) -> None:
        reason = self.door.objection(device.name, device.grant)
        if reason is not None:
            device.bar(reason)

    def _check_free(self, hello: Hello) -> None:
        present = self.devices.get(DeviceId(hello.device))
        if present is not None and present.link.connected:
            raise Refused(
                "identity",
                f"a device named {hello.device!r} is connected already; give this one another name",
                retry=True,
            )

    def _next_epoch(self, grant: Grant) -> int:
        # Above every epoch of an earlier orchestrator on the same journal, unless its clock was ahead of this one.
        self._epoch = max(self._epoch + 1, int(time.time() * 1000))
        self._grants[self._epoch] = grant
        return self._epoch

    def begin_above(self, epoch: int) -> None:
        """Open further sessions with epochs above this one, of an earlier orchestrator, whatever the clock says."""
        self._epoch = max(self._epoch, epoch)

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def serve(self, link: Link) -> None:
        """Serve one session until it ends."""
        from constellation_protocol.transfer import ArtifactTransfers

        device = ConnectedDevice(link, ArtifactTransfers(link, self.store), self._grants.pop(link.welcome.epoch))
        before = self.devices.get(device.name)
        self.devices[device.name] = device
        reason = "it stopped"
        try:
            # Before the end of an earlier session is told, so that what goes on is not taken for lost.
            self._engine.post(joined_event(link.hello, device.profile, device.epoch, self._engine.clock()))
            self._tell(device, None)
            self._recheck(device)
            if before is not None:
                await before.link.aclose("replaced by a new session")
            async with background() as tasks:
                tasks.start_soon(self._until_closed, partial(device.send_posted, partial(self._unfit, device)))
                tasks.start_soon(self._until_closed, device.transfers.run)
                try:
                    with device.barred:
                        while True:
                            await self._take_in(device, await link.receive())
                    reason = device.barred_because
                finally:
                    tasks.cancel_scope.cancel()
        except LinkClosed as closed:
            reason = closed.reason or reason
        except RemoteProtocolError as error:
            reason = f"it broke the rules of the protocol: {error}"
        except OrchestratorStopped:
            reason = "the orchestrator is stopping"
        except RunInUse as error:
            reason = str(error)
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

    def send_away(self, names: Iterable[DeviceId], reason: str) -> None:
        """End the sessions of devices that have to turn to another orchestrator, and take nothing more from them."""
        for device in [self.devices[name] for name in set(names) & self.devices.keys()]:
            if not device.in_process:
                device.bar(reason)

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
        described = False
        now = self._engine.clock()
        for message in messages:
            if isinstance(message, (Result, Accept, Reject)):
                if isinstance(message, Result) and message.artifacts:
                    message = self._within_quota(device, message)
                event = attempt_event(message, device.name, now)
                if event is not None:
                    events.append(event)
            elif isinstance(message, Progress):
                where = parse_attempt(message.attempt)
                if where is not None:
                    self._on_progress(*where, device.name, readable(message))
            elif isinstance(message, ProfileUpdate):
                described = True
                events.append(DeviceChanged(now, device.name, device.epoch, offer_of(device.describe(message.profile))))
            elif isinstance(message, Drain):
                device.draining = True
                events.append(DeviceDraining(now, device.name, device.epoch))
            else:
                device.transfers.handle(message)
        if events:
            try:
                await self._engine.ask(*events)
            except RunInUse:
                if not device.in_process:  # not acknowledged, it is told to whoever has the run by now
                    raise
        if described:
            self._changed.set()
            self._changed = anyio.Event()

    def _within_quota(self, device: ConnectedDevice, result: Result) -> Result:
        """The result, or a failure in its place when its run has brought too many files."""
        where = parse_attempt(result.attempt)
        machine = self._engine.scheduler.runs.get(where[0]) if where is not None else None
        attempt = machine.attempts.get(ev.AttemptId(result.attempt)) if machine is not None else None
        if machine is None or attempt is None or (attempt.device, attempt.epoch) != (device.name, result.epoch):
            return result  # it is not this device's to give, and will be ignored
        objection = self.quota.charge(machine.run, result.artifacts, self.limits)
        if objection is None:
            return result
        error = ErrorInfo(type="TooManyArtifacts", message=objection)
        return replace(result, status="failed", output=None, artifacts=(), error=error)

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
