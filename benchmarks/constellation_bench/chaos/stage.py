"""Everything that a chaos run takes: hubs behind proxies, devices, and the files of all of them in one folder."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import psutil

from constellation import Orchestrator, TaskConstellation
from constellation.orchestrator.client import RemoteRun
from constellation.orchestrator.errors import HubRefused, HubUnreachable
from constellation.scheduling import RunOptions
from constellation_protocol.tasks import background

from ..processes import kill_all
from .programs import Device, Hub, Program
from .proxy import Proxy, open_proxy

SLOTS = 4
"""How many stars a device runs at once."""

RESTART_S = 0.5
"""How long a program that was killed stays away at most, in seconds."""

_LEFT_BEHIND_S = 5.0


@dataclass(slots=True)
class Stage:
    """What is there.

    Attributes:
        hubs: The hubs, which share the journal.
        devices: The devices.
        token: What lets clients in.
    """

    hubs: Sequence[Hub]
    devices: Sequence[Device]
    token: str

    @property
    def programs(self) -> list[Program]:
        """All programs."""
        return [*self.hubs, *self.devices]

    @property
    def crashes(self) -> list[str]:
        """What has ended by itself."""
        return [crash for program in self.programs for crash in program.crashes]

    async def submit(self, graph: TaskConstellation, *, max_losses: int) -> str:
        """Start a run at the first hub, once all devices are there; returns its id."""
        url = await self.hubs[0].until_ready()
        async with Orchestrator.connect(url, self.token) as client:
            await client.wait_for_devices(len(self.devices))
            run: RemoteRun = await client.submit(graph, options=RunOptions(max_losses=max_losses))
        return run.id

    async def active_hub(self, run: str) -> Hub | None:
        """The hub that has the run in hand; None when it can't be found out at this moment."""
        for hub in self.hubs:
            url = hub.url
            if url is None:
                continue
            try:
                async with Orchestrator.connect(url, self.token) as client:
                    await client.find_run(run)
            except (HubRefused, HubUnreachable):
                continue
            if hub.ready:
                return hub
        return None


@asynccontextmanager
async def open_stage(folder: Path, *, journal: str, hubs: int, devices: int, seed: int) -> AsyncIterator[Stage]:
    """Start everything, and stop it in the end.

    Args:
        folder: Where its files are.
        journal: The journal's path or URL.
        hubs: How many hubs share it.
        devices: How many devices there are.
        seed: Says how long what was killed stays away.
    """
    token, token_file = secrets.token_urlsafe(32), folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token + "\n", encoding="ascii")
    random = Random(f"restarts {seed}")
    async with AsyncExitStack() as stack:
        proxies: list[Proxy] = [await stack.enter_async_context(open_proxy()) for _ in range(hubs)]
        urls = [f"ws://127.0.0.1:{proxy.port}" for proxy in proxies]
        stage = Stage(
            [
                Hub(f"hub-{number}", proxy, folder=folder, token=token_file, journal=journal)
                for number, proxy in enumerate(proxies, start=1)
            ],
            [
                Device(f"device-{number}", urls, folder=folder, token=token_file, slots=SLOTS)
                for number in range(1, devices + 1)
            ],
            token,
        )
        tasks = await stack.enter_async_context(background())

        def delay_s() -> float:
            return random.uniform(0, RESTART_S)

        try:
            for hub in stage.hubs:
                tasks.start_soon(hub.keep, delay_s)
            for hub in stage.hubs:
                await hub.until_ready()
            for device in stage.devices:  # which join the first hub of their list that is there
                tasks.start_soon(device.keep, delay_s)
            yield stage
        finally:
            tasks.cancel_scope.cancel()


async def left_behind(folder: Path) -> list[str]:
    """Kill the processes that still belong to a folder after everything was stopped; returns what they were."""
    return await anyio.to_thread.run_sync(_left_behind, folder)


def _left_behind(folder: Path) -> list[str]:
    mark = str(folder / "home")
    found = [process for process in psutil.process_iter() if _home(process) == mark]
    _, alive = psutil.wait_procs(found, timeout=_LEFT_BEHIND_S)
    told = [f"{process.pid} ({process.name()})" for process in alive if process.is_running()]
    kill_all(alive)
    return told


def _home(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("CONSTELLATION_HOME")
    except (psutil.Error, OSError):
        return None
