"""`local`: devices within the orchestrator's own process, for embedded use.

Their blocking tools run in threads. A thread can't be stopped: when it must be, it is left behind, told so through
`ToolContext.cancelled`, and its attempt counts as cancelled. Use the kind `process` for tools that may hang.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, ClassVar, Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from constellation_protocol.kinds import DeviceSpec, HubDoor
from constellation_protocol.tasks import background
from constellation_tools import Toolset

from ..agent import DeviceAgent
from ..errors import BadDeviceSetup, DeviceNotStarted
from ..home import open_home
from ..prompts.opening import open_prompter

FINISH_GRACE_S = 0.0
"""How long running work may go on when its orchestrator closes: nobody is left to take its result."""


class LocalDevice:
    """A device in this process; made by `LocalDevices`."""

    def __init__(self, spec: DeviceSpec, door: HubDoor) -> None:
        self._spec = spec
        self._door = door
        self._agent: DeviceAgent
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    @property
    def name(self) -> str:
        """The device's id."""
        return self._spec.name

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    def offer(self, tools: Sequence[Any]) -> None:
        """Offer further tools: functions or tools; one of a name that is already offered replaces it.

        Raises:
            ToolDefinitionError: a function can't be described as a tool.
        """
        self._agent.offer(Toolset(tools))

    async def wait_ended(self) -> str:
        """Wait until it has left its orchestrator."""
        await self._ended.wait()
        return "it was closed"

    async def aclose(self) -> None:
        """Cancel what runs, leave the orchestrator and wait until nothing of it is left but abandoned threads."""
        if not self._ended.is_set():
            await self._agent.finish("the device is closed", grace_s=FINISH_GRACE_S)
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Live: prepare, join, serve until the session ends or the device is closed."""
        try:
            with self._scope, open_home(self._spec, durable=False) as home:
                async with (
                    open_prompter(self._spec, home) as prompter,
                    DeviceAgent(
                        self._spec, home, worker_processes=False, prompter=prompter, sent_is_delivered=True
                    ) as self._agent,
                ):
                    await self._agent.look_around()
                    link = self._door.open_direct(self._agent.hello())
                    task_status.started()
                    try:
                        await self._agent.serve(link)
                    finally:
                        with anyio.CancelScope(shield=True):
                            await link.aclose("the device is closed")
        finally:
            self._ended.set()


class LocalDevices:
    """Starts devices in this process; implements `DeviceKind`."""

    in_process: ClassVar[bool] = True

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._devices: list[LocalDevice] = []
        self._task_group: TaskGroup

    async def __aenter__(self) -> Self:
        self._task_group = await self._stack.enter_async_context(background())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        for device in self._devices:
            self._task_group.start_soon(device.aclose)
        return await self._stack.__aexit__(kind, error, trace)

    async def start(self, spec: DeviceSpec, door: HubDoor) -> LocalDevice:
        """Start a device; returns once it has joined.

        Raises:
            DeviceNotStarted: the spec can't work, with the reason.
        """
        device = LocalDevice(spec, door)
        try:
            await self._task_group.start(device.run)
        except BadDeviceSetup as error:
            raise DeviceNotStarted(f"the device {spec.name!r} can't be started: {error}") from error
        self._devices.append(device)
        return device
