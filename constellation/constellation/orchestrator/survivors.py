"""Device processes that have outlived the orchestrator that started them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio.to_thread
import psutil

from constellation_protocol.kinds import DeviceSpec

STOP_S = 6.0
"""How long a survivor may take to stop when it is told to; then it is killed."""


class Survivor:
    """A device process that another orchestrator started; implements `StartedDevice`."""

    def __init__(self, name: str, process: psutil.Process) -> None:
        self._name = name
        self._process = process

    @property
    def name(self) -> str:
        """The device's id."""
        return self._name

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def offer(self, tools: Sequence[object]) -> None:
        """Raise TypeError: functions can't be sent to another process."""
        raise TypeError(f"the device {self._name!r} runs in a process of its own and can't be offered functions")

    async def wait_ended(self) -> str:
        """Wait until its process has ended, and say so."""
        await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        return "its process has ended"

    async def aclose(self) -> None:
        """Tell it to stop, kill it and its children if it doesn't, and wait until nothing of it is left."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._stop)

    def _stop(self) -> None:
        try:
            family = [self._process, *self._process.children(recursive=True)]
            self._process.terminate()  # raises for an id that was given to another process meanwhile
        except psutil.NoSuchProcess:
            return
        _, alive = psutil.wait_procs(family, timeout=STOP_S)
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(alive, timeout=STOP_S)


def find_survivors(specs: Sequence[DeviceSpec]) -> list[Survivor]:
    """The processes of these devices that are still there: this user's, started with their state directories."""
    places = {str(spec.state_dir): spec.name for spec in specs if spec.state_dir is not None}
    found = []
    for process in psutil.process_iter():
        try:
            # Anybody can give a process of his own any command line, and what survives is stopped in the end.
            if process.uids().real != os.getuid():
                continue
            place = _state_dir(process.cmdline())
            if place in places and process.status() != psutil.STATUS_ZOMBIE:
                found.append(Survivor(places[place], process))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _state_dir(words: Sequence[str]) -> str | None:
    """The state directory in the command line of a device process; None when it is none of a device."""
    if list(words[1:3]) != ["-m", "constellation_devices"] or "--state-dir" not in words[:-1]:
        return None
    return words[words.index("--state-dir") + 1]
