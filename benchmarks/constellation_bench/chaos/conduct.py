"""Doing to a run what was planned for it, when it is due, and timing how long the other hub takes to take over."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from constellation_protocol.tasks import background

from .account import Account
from .plan import Disturbance, Kind
from .programs import Hub
from .progress import Progress
from .proxy import Manner, Proxied
from .stage import Stage

_Thing = TypeVar("_Thing")

HUB_SHARE = 0.3
"""How many of the kills are to hit a hub, of those that come while there is one to hit."""

_MANNERS = ((0.3, Manner.CLOSED), (0.6, Manner.RESET), (0.95, Manner.TORN), (1.0, Manner.SILENT))
"""How connections are cut: each up to this share of the chances."""


@dataclass(slots=True)
class Done:
    """What was done.

    Attributes:
        hub_kills: How often a hub was killed.
        device_kills: How often a device was.
        cuts: How many connections were cut.
        freezes: How often a hub was frozen.
        takeovers_s: Seconds from the kill of the hub that had the run to the other's first record, each time.
        thaws_s: The same for hubs that were frozen.
    """

    hub_kills: int = 0
    device_kills: int = 0
    cuts: int = 0
    freezes: int = 0
    takeovers_s: list[float] = field(default_factory=list)
    thaws_s: list[float] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How often anything was killed."""
        return self.hub_kills + self.device_kills


class Conductor:
    """Carries disturbances out, one after the other.

    Attributes:
        done: What was done.
    """

    def __init__(self, stage: Stage, run: str, progress: Progress) -> None:
        """Do nothing yet."""
        self.done = Done()
        self._stage = stage
        self._run = run
        self._progress = progress

    async def carry_out(self, disturbances: Sequence[Disturbance]) -> None:
        """Carry out what is planned; what is not due before the run is over is left undone."""
        async with background() as tasks:
            for disturbance in disturbances:
                await self._progress.until(partial(_has_ended, disturbance.due))
                await anyio.sleep(disturbance.delay_s)
                while not self._progress.account.over and not await self._do(disturbance, tasks):
                    await self._progress.next_look()
                if self._progress.account.over:
                    return

    async def _do(self, what: Disturbance, tasks: TaskGroup) -> bool:
        """Do it if there is anything to do it to; returns whether there was."""
        match what.kind:
            case Kind.KILL:
                return await self._kill(what, tasks)
            case Kind.CUT:
                return self._cut(what)
            case Kind.FREEZE:
                return await self._freeze()

    async def _kill(self, what: Disturbance, tasks: TaskGroup) -> bool:
        if what.target < HUB_SHARE and await self._kill_hub(tasks):
            return True
        there = [device for device in self._stage.devices if device.running]
        if not there:
            return False
        _chosen(there, what.manner).kill()
        self.done.device_kills += 1
        return True

    async def _kill_hub(self, tasks: TaskGroup) -> bool:
        hubs = self._stage.hubs
        if len(hubs) == 1:
            if not hubs[0].running:
                return False
            hubs[0].kill()
        else:
            active = await self._active()
            if active is None:
                return False
            killed_at = time.time()
            active.kill(hold=True)
            tasks.start_soon(self._until_taken_over, active, killed_at)
        self.done.hub_kills += 1
        return True

    async def _until_taken_over(self, hub: Hub, killed_at: float) -> None:
        """Wait for the other hub before a killed one is started again, which would take its run up itself."""
        await self._takeover(killed_at, self.done.takeovers_s)
        hub.release()

    async def _freeze(self) -> bool:
        active = await self._active()
        if active is None:
            return False
        frozen_at = time.time()
        active.signal(signal.SIGSTOP)
        self.done.freezes += 1
        await self._takeover(frozen_at, self.done.thaws_s)
        active.signal(signal.SIGCONT)
        return True

    async def _takeover(self, since: float, times: list[float]) -> None:
        if await self._progress.until(lambda account: max(account.recovered_at, default=0.0) > since):
            times.append(min(at for at in self._progress.account.recovered_at if at > since) - since)

    async def _active(self) -> Hub | None:
        """The hub that has the run, while all others stand by."""
        if not all(hub.ready for hub in self._stage.hubs):
            return None
        return await self._stage.active_hub(self._run)

    def _cut(self, what: Disturbance) -> bool:
        there: list[Proxied] = [
            connection for hub in self._stage.hubs for connection in hub.proxy.connections if connection.whole
        ]
        if not there:
            return False
        _chosen(there, what.target).cut(next(manner for share, manner in _MANNERS if what.manner < share))
        self.done.cuts += 1
        return True


def _has_ended(stars: int, account: Account) -> bool:
    return account.ended >= stars


def _chosen(there: Sequence[_Thing], chance: float) -> _Thing:
    return there[int(chance * len(there))]
