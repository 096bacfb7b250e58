"""The programs of a chaos run, hubs and devices: each is started again whenever it has ended, until all is over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from constellation_protocol.signal import Signal

from .proxy import Proxy

STOP_S = 15.0
"""How long a program may take to stop when it is told to, in seconds."""

_SERVE = "import sys; from constellation.cli import main; sys.exit(main())"

_URL = re.compile(rb"hub at (ws://[^:]+:(\d+)\S*)")

_LINE_BYTES = 4096


class Program(ABC):
    """A program that is kept running.

    Attributes:
        name: What it is called.
        kills: How often it was killed.
        crashes: How it has ended when nobody had killed it, each time.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        """Start nothing yet; `log` takes what it says."""
        self.name = name
        self.kills = 0
        self.crashes: list[str] = []
        self._command = command
        self._log = log
        self._environment = os.environ | environment
        self._process: Process | None = None
        self._stopping = False
        self._killed = False
        self._held: anyio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process of it."""
        return self._process is not None and self._process.returncode is None and not self._killed

    @property
    def ready(self) -> bool:
        """Whether it does what it is there for, as far as can be seen from here."""
        return self.running

    def kill(self, *, hold: bool = False) -> None:
        """Kill it; with `hold` it is not started again before `release`."""
        assert self._process is not None
        if hold:
            self._held = anyio.Event()
        self._killed = True
        self.kills += 1
        self._process.kill()

    def release(self) -> None:
        """Have it started again."""
        if self._held is not None:
            self._held.set()
            self._held = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def keep(self, delay_s: Callable[[], float]) -> None:
        """Run it again and again, each time after a delay, until this is cancelled; then it is stopped."""
        while True:
            self._killed = False
            with self._log.open("ab") as log, anyio.CancelScope(shield=True):
                process = self._process = await anyio.open_process(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                )
            async with process:
                try:
                    await self._attend(process)
                    code = await process.wait()
                finally:
                    await self._stop(process)
            if not self._killed:
                self.crashes.append(f"{self.name} ended with {code}: {self._last_line()}")
            if self._held is not None:
                await self._held.wait()
            await anyio.sleep(delay_s())

    async def _stop(self, process: Process) -> None:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                with anyio.move_on_after(STOP_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    @abstractmethod
    async def _attend(self, process: Process) -> None:
        """Take what it prints, until it has closed its output."""


class Device(Program):
    """A device, `constellation device`; its folder is what it knows and what it has done.

    Attributes:
        root: The directory that its tools work in.
    """

    def __init__(self, name: str, urls: Sequence[str], *, folder: Path, token: Path, slots: int) -> None:
        """Start nothing yet."""
        self.root = folder / name
        self.root.mkdir()
        state = folder / f"{name}-state"
        state.mkdir()
        command = [sys.executable, "-m", "constellation_devices", "--name", name, "--slots", str(slots)]
        command += [word for url in urls for word in ("--url", url)]
        command += ["--token-file", str(token), "--root", str(self.root), "--state-dir", str(state)]
        command += ["--tools", f"{__package__}.work", "--linger", "3600", "--grace", "5"]
        super().__init__(name, command, folder / f"{name}.log", {"CONSTELLATION_HOME": str(folder / "home")})

    async def _attend(self, process: Process) -> None:
        assert process.stdout is not None
        async for _ in process.stdout:
            continue


class Hub(Program):
    """A hub, `constellation serve`, behind a proxy that devices dial.

    Attributes:
        proxy: The proxy.
        url: Where clients dial it; None while it does not listen.
        pid: Its process.
    """

    def __init__(self, name: str, proxy: Proxy, *, folder: Path, token: Path, journal: str) -> None:
        """Start nothing yet."""
        self.proxy = proxy
        self.url: str | None = None
        self._changed = Signal()
        command = [sys.executable, "-c", _SERVE, "serve", "--port", "0", "--token-file", str(token)]
        command += ["--journal", journal]
        super().__init__(name, command, folder / f"{name}.log", {"CONSTELLATION_HOME": str(folder / "home")})

    @property
    def ready(self) -> bool:
        """Whether it listens."""
        return self.running and self.url is not None

    async def until_ready(self) -> str:
        """Wait until it listens; returns its URL."""
        while not self.ready:
            await self._changed.wait()
        assert self.url is not None
        return self.url

    async def _attend(self, process: Process) -> None:
        assert process.stdout is not None
        output = BufferedByteReceiveStream(process.stdout)
        try:
            while True:
                said = _URL.match(await output.receive_until(b"\n", _LINE_BYTES))
                if said is not None:
                    self.url, self.proxy.hub_port = said[1].decode(), int(said[2])
                    self._changed.notify()
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return
        finally:
            self.url = self.proxy.hub_port = None
