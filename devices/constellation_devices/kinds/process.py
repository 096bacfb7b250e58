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
from typing import Any, ClassVar, Self

import anyio
import anyio.to_thread
from anyio.abc import Process

from constellation_protocol.kinds import DeviceSpec, HubDoor

from ..agent import ACK_WAIT_S, STOP_GRACE_S
from ..agent_options import options_of
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

    async def wait_ended(self) -> str:
        """Wait until its process has ended."""
        code = await self._process.wait()
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process has ended with code {code}"

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
                await anyio.to_thread.run_sync(shutil.rmtree, self._temporary, True)


class ProcessDevices:
    """Starts devices as child processes; implements `DeviceKind`."""

    in_process: ClassVar[bool] = False

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


async def _launch(
    spec: DeviceSpec, door: HubDoor, references: Sequence[str], *, root: Path, state_dir: Path
) -> Process:
    """Start the child and wait until it is ready."""
    log = state_dir / LOG_FILE
    heard, told = os.pipe()
    try:
        command = _command(spec, door.url, references, root=root, state_dir=state_dir, ready_fd=told)
        # Shielded: a start that is cancelled half way would leave a process that nobody waits for.
        with log.open("ab") as log_file, anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env=os.environ | {TOKEN_VARIABLE: door.issue_token(spec.name)},
                start_new_session=True,
                pass_fds=(told,),
            )
        os.close(told)
        told = -1
        try:
            with anyio.fail_after(READY_TIMEOUT_S):
                await anyio.wait_readable(heard)
            if os.read(heard, 64):
                return process
            await process.wait()
            raise DeviceNotStarted(f"the device {spec.name!r} could not be started: {_last_words(log)}")
        except TimeoutError:
            raise DeviceNotStarted(
                f"the device {spec.name!r} was not ready within {READY_TIMEOUT_S:g} s: {_last_words(log)}"
            ) from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_kill_family, process.pid)
                await process.wait()
            raise
    finally:
        os.close(heard)
        if told >= 0:
            os.close(told)


def _command(
    spec: DeviceSpec, url: str, references: Sequence[str], *, root: Path, state_dir: Path, ready_fd: int
) -> list[str]:
    command = [sys.executable, "-m", "constellation_devices", "--url", url, "--name", spec.name]
    command += ["--slots", str(spec.slots), "--root", str(root), "--state-dir", str(state_dir)]
    command += ["--grace", str(FINISH_GRACE_S), "--ready-fd", str(ready_fd)]
    command += options_of(spec.agent)
    if spec.sandbox_network:
        command.append("--sandbox-network")
    for option, values in (
        ("--label", [f"{key}={value}" for key, value in spec.labels.items()]),
        ("--resource", [f"{key}={value}" for key, value in spec.resources.items()]),
        ("--tools", references),
        ("--allow-host", spec.allow_hosts),
        ("--sandbox-readable", [str(place.absolute()) for place in spec.sandbox_readable]),
        ("--import-path", _own_import_paths()),
    ):
        for value in values:
            command += [option, value]
    return command


def _own_import_paths() -> list[str]:
    """What this process imports from besides the interpreter's own places: the child finds the same tools there."""
    own = tuple(os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix))
    paths = dict.fromkeys(os.path.realpath(path) for path in sys.path)
    return [path for path in paths if not path.startswith(own) and os.path.isdir(path)]


def _reference(spec: DeviceSpec, item: Any) -> str:
    reference = item if isinstance(item, str) else getattr(item, "reference", None)
    if not isinstance(reference, str):
        raise TypeError(
            f"the device {spec.name!r} runs in a process of its own and can't be given {item!r}: "
            "define it at the top level of a module, or name it as module:attr"
        )
    return reference


def _in(temporary: Path | None, name: str) -> Path:
    assert temporary is not None
    directory = temporary / name
    directory.mkdir(mode=0o700)
    return directory


def _last_words(log: Path) -> str:
    """The last line of a log, which says why its process ended."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it wrote nothing to {log}"


def _kill_family(pid: int) -> None:
    """Kill a process, its group, and whatever it has started in groups of its own."""
    import psutil  # imported here: devices that end in good order never need it

    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
