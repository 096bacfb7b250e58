"""`process`: devices in child processes that join over loopback WebSocket.

Each child leads a session of its own, so that a terminal's Ctrl-C reaches only the orchestrator, which then closes
its devices in good order. What a device logs is in `device.log` in its state directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
from anyio.abc import Process
from constellation_protocol.kinds import DeviceSpec, HubDoor

from ..agent import ACK_WAIT_S, STOP_GRACE_S
from ..errors import DeviceNotStarted
from ..secret_environment import TOKEN_VARIABLE

READY_TIMEOUT_S = 60.0
"""How long a device may take to get ready to join, in seconds."""

FINISH_GRACE_S = 0.5
"""How long its running work may go on when it is closed, in seconds."""

KILL_AFTER_S = FINISH_GRACE_S + STOP_GRACE_S + ACK_WAIT_S + 2.0
"""How long a device may take to end when it is closed; then it and its children are killed."""

LOG_FILE = "device.log"
_LOG_TAIL_BYTES = 4_000


class ProcessDevice:
    """A device in a child process; made by `ProcessDevices`."""

    def __init__(self, name: str, process: Process, temporary: Path | None) -> None:
        self._name = name
        self._process = process
        self._temporary = temporary

    @property
    def name(self) -> str:
        """The device's id."""
        return self._name

    @property
    def pid(self) -> int:
        """The child process."""
        return self._process.pid

    def offer(self, tools: Sequence[Any]) -> None:
        """Raise TypeError: functions can't be sent to another process."""
        raise TypeError(
            f"the device {self._name!r} runs in a process of its own and can't be offered functions: "
            "name its tools as module:attr when it is started"
        )

    async def aclose(self) -> None:
        """Ask the device to stop, kill it if it doesn't, and wait until nothing of it is left."""
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self._process.terminate()
            with anyio.move_on_after(KILL_AFTER_S):
                await self._process.wait()
            if self._process.returncode is None:
                await anyio.to_thread.run_sync(_kill_family, self._process.pid)
            await self._process.wait()
            if self._temporary is not None:
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._temporary, ignore_errors=True))


class ProcessDevices:
    """Starts devices as child processes; implements `DeviceKind`."""

    def __init__(self) -> None:
        self._devices: list[ProcessDevice] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as closing:
                for device in self._devices:
                    closing.start_soon(device.aclose)

    async def start(self, spec: DeviceSpec, door: HubDoor) -> ProcessDevice:
        """Start a device; returns once it is ready to join.

        Raises:
            DeviceNotStarted: it ended before that, or took too long; the message quotes its log.
            TypeError: a tool is not named by a reference.
        """
        references = [_reference(spec, item) for item in spec.tools]
        temporary = None
        if spec.state_dir is None or spec.root is None:
            temporary = Path(tempfile.mkdtemp(prefix="constellation-"))
        try:
            state_dir = spec.state_dir or _in(temporary, "state")
            root = spec.root or _in(temporary, "root")
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            process = await _launch(spec, door, references, root=root, state_dir=state_dir)
        except BaseException:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        device = ProcessDevice(spec.name, process, temporary)
        self._devices.append(device)
        return device
