"""The device under test as a command: started for each check, told to stop after it, and killed where a check asks."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
from anyio.abc import Process

from .stage import Invitation, RunningDevice, Start

STOP_S = 5.0
"""How long a device may take to end after SIGTERM before it is killed."""

ENVIRONMENT = {
    "CONSTELLATION_URL": "url",
    "CONSTELLATION_TOKEN": "token",
    "CONSTELLATION_DEVICE": "name",
    "CONSTELLATION_STATE_DIR": "state_dir",
}
"""In which variables the device finds what it has to be told, by the name of the field of an `Invitation`."""


class DeviceProcess:
    """A device that a command has started; its process leads a group, which ends with it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def kill(self) -> None:
        """Kill the whole group, and wait for its leader."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        """Tell the device to stop, and kill it when it does not."""
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self._process.terminate()
            with anyio.move_on_after(STOP_S):
                await self._process.wait()
            await self.kill()


def starting(command: str, *, quiet: bool = True) -> Start:
    """Make the start of a device by a command.

    Args:
        command: The command, split as a shell does but not run by one. `{url}`, `{name}` and `{state_dir}` in it are
            replaced; the same and the token are in the environment (see `ENVIRONMENT`).
        quiet: Whether what the device prints is thrown away; else it goes to this process's standard error.

    Raises:
        ValueError: the command is empty or has an open quotation.
    """
    words = shlex.split(command)
    if not words:
        raise ValueError("the command that starts the device is empty")

    @asynccontextmanager
    async def start(invitation: Invitation) -> AsyncIterator[RunningDevice]:
        told = {field: str(getattr(invitation, field)) for field in ENVIRONMENT.values()}
        shown = {field: value for field, value in told.items() if field != "token"}
        process = await anyio.open_process(
            [_fill(word, shown) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else 2,
            stderr=subprocess.DEVNULL if quiet else 2,
            env={**os.environ, **{variable: told[field] for variable, field in ENVIRONMENT.items()}},
            start_new_session=True,
        )
        async with process:
            device = DeviceProcess(process)
            try:
                yield device
            finally:
                await device.stop()

    def begin(invitation: Invitation) -> AbstractAsyncContextManager[RunningDevice]:
        return start(invitation)

    return begin


def _fill(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word
