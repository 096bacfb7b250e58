"""Standing by: hubs that share a journal take over the runs of one that is gone.

Each hub renews its claims on the runs that it works on. When a claim has run out, its orchestrator is dead, cut off or
stopped, and whichever hub looks next takes the run up. The journal lets only one of them have it, and refuses the
records of an owner that comes back too late.

Devices follow the runs: a hub that has none, while other hubs have, sends those away that know other hubs.

Runs follow one another: when a device works for runs of several hubs, which happens when those of a hub that is gone
were taken up by several, they all go to the hub that has the oldest of them. Otherwise each hub would have the device
wait for the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from constellation_protocol import Refused
from constellation_protocol.messages import Hello
from constellation_protocol.tasks import background

from ..journal import AmbiguousRun, JournalUnavailable, RunNotFound
from ..scheduling import AttemptId, DeviceId, RunId
from ..scheduling.events import parse_attempt
from .credentials import Grant
from .errors import CannotResume, OrchestratorStopped, RunInUse
from .intake import FLEET_KEY, HUB_KEY, Intake
from .listening import listening_to_all
from .recovery import LEASE_S, MAX_RUNS
from .run_book import RunBook

if TYPE_CHECKING:
    from ssl import SSLContext

    from .limits import HubLimits
    from .orchestrator import Orchestrator

LOOK_S = LEASE_S / 3
"""How long a hub waits between looks at what others have left behind, in seconds: a run is without an orchestrator for
no longer than a lease and one such wait."""


OVERDUE = "the journal is away from this hub, and another hub may have its runs by now"

STANDS_BY = "this hub stands by: what goes on goes on at another hub, which has work for this device"


class Standby:
    """Takes runs up that nobody works on, and keeps devices away that work for runs which are not here yet."""

    def __init__(self, book: RunBook, intake: Intake) -> None:
        """Stand by with the runs of a book; `intake` takes up what is found."""
        self._book = book
        self._intake = intake
        self._unreadable: set[str] = set()  # runs that this release can't go on with
        self._given_up: dict[RunId, float] = {}  # runs that another hub is to have, and until when they are left to it
        self._sent_on: set[str] = set()  # devices that are to ask at another hub before they are let in here again
        book.claims.on_overdue = self._send_devices_on

    @asynccontextmanager
    async def serving(
        self, orchestrator: Orchestrator, host: str, port: int, *, ssl: SSLContext | None, limits: HubLimits | None
    ) -> AsyncIterator[None]:
        """Take up what there is, then let devices and clients dial, and go on looking; raises OSError."""
        await self.look()
        hub = self._book.hub
        async with (
            listening_to_all(orchestrator, hub, host, port, ssl=ssl, limits=limits, admit=self.admit),
            background() as tasks,
        ):
            tasks.start_soon(self._watch)
            yield
            tasks.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            with anyio.move_on_after(LOOK_S):
                await self._book.lost_one.wait()
            with suppress(JournalUnavailable):  # a look changes nothing: the next one is as good
                await self.look()
                await self._send_devices_away()

    async def look(self) -> None:
        """Go on with every run of the journal that has not ended and that nobody else works on."""
        for summary in await self._book.journal.runs(limit=MAX_RUNS, state="running"):
            run = RunId(summary.run)
            if summary.parent is not None or FLEET_KEY in summary.info:
                continue
            if run in self._book.runs or run in self._book.planners or run in self._unreadable:
                continue  # those with planners only are on their way in
            if self._given_up.get(run, 0.0) > self._book.engine.clock():
                continue
            self._given_up.pop(run, None)
            try:
                await self._intake.take_up(run, self._intake.planner, False)
            except CannotResume:
                self._unreadable.add(run)
            except (RunInUse, RunNotFound):
                continue
            except OrchestratorStopped:  # which has let go of the run
                return

    async def admit(self, hello: Hello, grant: Grant) -> int:
        """Give a new session its epoch.

        A device that still works for a run which is not in hand here has to wait, or go to the hub that has it: its
        results would be taken from it, and be lost, by a hub that can't store them. One that has no work, and knows
        other hubs, is to go to those that have some.

        Raises:
            Refused: the device is to try again later or elsewhere, or there is no room for it.
        """
        if hello.device in self._sent_on:
            self._sent_on.remove(hello.device)
            if hello.elsewhere:
                raise Refused("limit", OVERDUE, retry=True)
        at_work = [where[0] for attempt in _attempts(hello) if (where := parse_attempt(attempt)) is not None]
        elsewhere: dict[RunId, RunId] = {}
        for run in sorted(set(at_work) - self._book.runs.keys()):
            try:
                top = await self._going_on(run)
            except JournalUnavailable as error:
                raise Refused("limit", f"the journal can't be read to find run {run}: {error}", retry=True) from error
            if top is not None:
                elsewhere[run] = top
        if elsewhere:
            if hello.elsewhere:
                await self._give_way(hello, min(elsewhere.values()))
            raise Refused(
                "limit",
                f"this device works for run {min(elsewhere)}, which another hub has, or had and has not been taken "
                f"over from yet; that takes up to {LEASE_S + LOOK_S:g} s",
                retry=True,
            )
        if hello.elsewhere:
            try:
                stands_by = await self._stands_by()
            except JournalUnavailable as error:
                raise Refused(
                    "limit", f"the journal can't be read to find what goes on: {error}", retry=True
                ) from error
            if stands_by:
                raise Refused("limit", STANDS_BY, retry=True)
        return await self._book.hub.admit(hello, grant)

    def _send_devices_on(self) -> None:
        """Have devices that know other hubs ask there, for the journal may be away from here alone.

        A hub that has taken the runs over lets them in. Where none does they come back, and go on here.
        """
        names = [name for name, each in self._book.hub.devices.items() if each.link.hello.elsewhere]
        self._sent_on.update(names)
        self._book.hub.send_away(names, OVERDUE)

    async def _send_devices_away(self) -> None:
        """End the sessions of devices that are of use at other hubs, and of none here."""
        devices = self._book.hub.devices
        if any(device.link.hello.elsewhere for device in devices.values()) and await self._stands_by():
            self._book.hub.send_away([name for name, each in devices.items() if each.link.hello.elsewhere], STANDS_BY)

    async def _stands_by(self) -> bool:
        """Whether runs go on at other hubs, or are to be taken over from them, and none goes on here."""
        if self._book.planners:  # which has the runs that are only on their way in as well
            return False
        going_on = await self._book.journal.runs(limit=MAX_RUNS, state="running")
        return not self._book.planners and any(
            HUB_KEY in summary.info and RunId(summary.run) not in self._unreadable for summary in going_on
        )

    async def _going_on(self, run: RunId) -> RunId | None:
        """The run that one is nested in, or itself, if it is not in hand here and is to be gone on with by a hub."""
        while True:
            try:
                summary = await self._book.journal.run(run)
            except (RunNotFound, AmbiguousRun):
                return None
            if summary.run != run or run in self._book.runs or run in self._unreadable:
                return None
            if summary.parent is None:
                return run if summary.state == "running" and FLEET_KEY not in summary.info else None
            run = RunId(summary.parent)

    async def _give_way(self, hello: Hello, oldest: RunId) -> None:
        """Let the hub with the `oldest` of a device's other runs have those in hand here too, if all are younger."""
        device = DeviceId(hello.device)
        mine = {self._book.outermost(run) for run in self._runs_of(device, _attempts(hello))}
        if not mine or min(mine) < oldest:
            return
        why = RunInUse(f"device {device} works for it and for run {oldest}, which that orchestrator has")
        for run in sorted(mine):
            self._given_up[run] = self._book.engine.clock() + LEASE_S + LOOK_S
            await self._book.give_up(run, why)

    def _runs_of(self, device: DeviceId, attempts: Iterable[str]) -> Iterator[RunId]:
        """The runs in hand, not ended, that a device may work for with these attempts.

        An attempt that was given up as lost is not known any more, though its device may still be at it.
        """
        for attempt in attempts:
            where = parse_attempt(attempt)
            held = self._book.runs.get(where[0]) if where is not None else None
            if where is None or held is None or held.machine.ended or where[1] not in held.machine.graph:
                continue
            known = held.machine.attempts.get(AttemptId(attempt))
            if known is None or known.device == device:
                yield where[0]


def _attempts(hello: Hello) -> Iterator[str]:
    yield from hello.running
    yield from hello.finished
