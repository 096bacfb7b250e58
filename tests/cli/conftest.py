"""What the tests of the command line share: a state directory of their own, files, and the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

WAIT_S = 60.0
"""How long anything may take on a busy machine before a test gives up."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own, and a working directory with nothing in it."""
    for name in ("CONSTELLATION_TOKEN", "CONSTELLATION_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "home"


@pytest.fixture
def flow(home: Path) -> Callable[[str], str]:
    """Writes a workflow into the working directory; returns its name."""

    def write(text: str, name: str = "flow.yaml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


BEGIN = (
    "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # whoever runs the tests may ignore it
    "from constellation.cli import main; sys.exit(main())"
)


class Program:
    """A running `constellation`, read line by line."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", BEGIN, *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.errors = ""
        # What hangs is killed, so that reading comes to an end and the test fails where it waits.
        self._guard = threading.Timer(WAIT_S, self.process.kill)
        self._guard.start()

    def until(self, wanted: Callable[[str], object]) -> str:
        """Read lines until one is wanted, and return it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if wanted(line):
                return line.rstrip("\n")
        pytest.fail(f"the program ended first: {self.lines} {self.end()} {self.errors}")

    def until_event(self, event: str, **fields: object) -> dict[str, typing.Any]:
        """Read JSON lines until this event with these fields."""

        def wanted(line: str) -> bool:
            data = json.loads(line)
            return bool(data["event"] == event and all(data.get(name) == value for name, value in fields.items()))

        return typing.cast("dict[str, typing.Any]", json.loads(self.until(wanted)))

    def family(self) -> list[psutil.Process]:
        """The program's children and theirs, devices and workers."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Wait for the end, keep what it still says, and return the exit code."""
        rest, self.errors = self.process.communicate(timeout=WAIT_S)
        self.lines += rest.splitlines()
        self._guard.cancel()
        return self.process.returncode

    def end_of_errors(self) -> tuple[int, str]:
        """The exit code and what was complained of, where nobody reads the output any more."""
        assert self.process.stderr is not None
        return self.process.wait(timeout=WAIT_S), self.process.stderr.read()

    def stop(self) -> None:
        """Leave nothing of it behind."""
        self._guard.cancel()
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            for member in family:
                if member.is_running():
                    member.kill()
        self.process.communicate()


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Program]]:
    """Starts the program; whatever is still running in the end is killed."""
    programs: list[Program] = []

    def begin(*arguments: str) -> Program:
        programs.append(Program(*arguments))
        return programs[-1]

    yield begin
    for program in programs:
        program.stop()


@pytest.fixture
def nothing_left() -> Callable[[list[psutil.Process]], None]:
    """Fails when one of these processes does not end."""

    def check(family: list[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(family, timeout=10)
        assert [process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []

    return check
