"""What the demo's tests share: a small made-up library, audits of it that are carried out by hand, the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import TypeAdapter

from constellation import EditBatch, Outcome, Review, StarState
from constellation.graph import StarId
from constellation_bench.demo.findings import SCAN_SUMMARY, FunctionShape, LookSummary, ScanSummary, StrainedModule
from constellation_bench.demo.library import SourceFile
from constellation_bench.demo.plan import plan_audit
from constellation_tools import Artifact

LOOK_SUMMARY = TypeAdapter(LookSummary)

WAIT_S = 60.0
"""How long anything may take on a busy machine before a test gives up."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def function(name: str, lines: int, *, indent: str = "") -> str:
    """The source of a function of so many lines, each with a decision."""
    body = [f"{indent}    if value > {number}: value -= {number}" for number in range(1, lines - 1)]
    return "\n".join([f"{indent}def {name}(value):", *body, f"{indent}    return value"]) + "\n"


def build_library(root: Path) -> Path:
    package = root / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import first\n")
    (package / "first.py").write_text("from pack import second\n\n\n" + function("copied", 12))
    (package / "second.py").write_text("import pack.first\n\n\n" + function("copied", 12))
    (package / "lazy.py").write_text("def later():\n    import pack.second\n    return pack.second\n")
    (package / "broken.py").write_text("def broken(:\n    pass\n")
    for number in range(1, 9):
        text = f"import os\nimport pack.first\n# TODO: module {number}\n\n\n" + function(
            f"long_{number}", 60 + 5 * number
        )
        (root / f"strained_{number}.py").write_text(text)
    for number in range(1, 9):
        (root / f"plain_{number}.py").write_text(f"import pack\n\n\n{function('short', 4)}")
    (root / "test").mkdir()
    (root / "test" / "test_it.py").write_text("assert False\n")
    return root


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A package of some modules: most are plain, some are strained, two import each other, one can't be parsed."""
    return build_library(tmp_path / "library")


class ByHand:
    """An audit that is carried out by hand, with the reviews that an orchestrator would have asked for."""

    def __init__(self, scans: int) -> None:
        files = [SourceFile(f"file_{number}.py", 10) for number in range(scans)]
        self.graph = plan_audit(Path("/library"), files, seed=0, parts=scans)
        self.graph.activate()
        self.clock = 0.0

    def scan(self, number: int, *worst: StrainedModule, device: str = "scanner-1") -> Review:
        """A scan succeeds and has found these modules."""
        found = ScanSummary(len(worst), 100, 10, 1, [], list(worst), Artifact("0" * 64), 0.5)
        return self.end(f"scan-{number:02d}", SCAN_SUMMARY.dump_python(found, mode="json"), device=device)

    def look(self, module: str, *, state: StarState = StarState.SUCCEEDED) -> Review:
        """A deeper look ends."""
        found = LookSummary(module, 3, 2.0, [FunctionShape("worst_of_it", 7, 80, 21, 4, 9)], 0.25)
        return self.end(f"look-{module}", LOOK_SUMMARY.dump_python(found, mode="json"), state=state, device="analyst-1")

    def end(
        self, star: str, output: Any = None, *, state: StarState = StarState.SUCCEEDED, device: str = "analyst-1"
    ) -> Review:
        """A star ends, and is held for its review."""
        known = StarId(star)
        for step in (StarState.ASSIGNED, StarState.RUNNING):
            self.graph.enter(known, step)
        self.graph.hold(known)
        begun, self.clock = self.clock, self.clock + 1.0
        output = output if state is StarState.SUCCEEDED else None
        outcome = Outcome(output=output, device=device, attempts=1, started_at=begun, ended_at=self.clock)
        self.graph.settle(known, state, outcome)
        return Review("run", self.graph[known], state, outcome, self.graph)

    def apply(self, batch: EditBatch | None) -> None:
        """Apply an edit."""
        assert batch is not None
        self.graph.apply(batch)

    def release(self, *stars: str) -> None:
        """End the reviews of stars."""
        for star in stars:
            self.graph.release(StarId(star))


@pytest.fixture
def by_hand() -> Callable[[int], ByHand]:
    """Begins an audit of so many scans that is carried out by hand."""
    return ByHand


class Program:
    """A running `constellation … --json`, read event by event."""

    def __init__(self, arguments: Sequence[str], home: Path) -> None:
        command = [sys.executable, "-c", "import sys; from constellation.cli import main; sys.exit(main())", *arguments]
        # In a file: what goes to a pipe that nobody reads would hold the program up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `finish`
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "CONSTELLATION_HOME": str(home)},
        )
        self.events: list[dict[str, Any]] = []
        # What hangs is killed, so that reading comes to an end and the test fails where it waits.
        self._guard = threading.Timer(WAIT_S, self.process.kill)
        self._guard.start()

    def until(self, event: str, wanted: Callable[[dict[str, Any]], bool] = lambda event: True) -> dict[str, Any]:
        """Read events until one of this kind is wanted, and return it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            self.events.append(told)
            if told["event"] == event and wanted(told):
                return told
        pytest.fail(f"the program ended first: {self.finish()}; it told {self.events[-5:]}")

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of a kind that have been read."""
        return [told for told in self.events if told["event"] == event]

    def device_pids(self) -> dict[str, int]:
        """The processes of the devices that have joined."""
        return {told["device"]: told["pid"] for told in self.of("device_joined")}

    def finish(self) -> tuple[int, str]:
        """Read the rest, and return the exit code and what was said on standard error."""
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        self.process.stdout.close()
        self.process.wait()
        self._guard.cancel()
        with self._errors:
            self._errors.seek(0)
            return self.process.returncode, self._errors.read()

    def kill(self) -> None:
        """End the program as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.finish()


@contextmanager
def programs(place: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs whose state is in a place of their own; in the end, nothing of them may be left."""
    started: list[Program] = []

    def run(*arguments: str) -> Program:
        started.append(Program(arguments, place / "home"))
        return started[-1]

    yield run
    for program in started:
        if program.process.poll() is None:
            program.kill()
    left = [process for process in psutil.process_iter(["cmdline"]) if _belongs(process, place)]
    _, alive = psutil.wait_procs(left, timeout=WAIT_S / 4)
    for process in alive:
        process.kill()
    assert not alive, f"left behind: {alive}"


def _belongs(process: psutil.Process, place: Path) -> bool:
    return any(str(place) in part for part in process.info["cmdline"] or ())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts the program, with state and library in the test's own directory."""
    with programs(tmp_path) as run:
        yield run


@dataclass
class Audited:
    """A run of the demo on four devices, from its beginning to its end.

    Attributes:
        program: The program, which has ended.
        code: Its exit code.
        errors: What it said on standard error.
        report: The report that it was to write.
        connected: The devices that were child processes of it, and connected to it, when the first star ran.
        library_before: The library's files and when they were changed, before the run, and
        library_after: after it.
    """

    program: Program
    code: int
    errors: str
    report: Path
    connected: set[str]
    library_before: list[tuple[str, int]]
    library_after: list[tuple[str, int]]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """One run of the demo for several tests to look at."""
    place = tmp_path_factory.mktemp("audited")
    library, report = build_library(place / "library"), place / "audit.md"
    before = _state(library)
    with programs(place) as run:
        program = run("demo", "--root", str(library), "--report", str(report), "--parts", "6", "--json")
        program.until("star_started")
        program.process.send_signal(signal.SIGSTOP)  # so that nothing ends while it is being looked at
        try:
            connected = _connected(program)
        finally:
            program.process.send_signal(signal.SIGCONT)
        code, errors = program.finish()
        yield Audited(program, code, errors, report, connected, before, _state(library))


def _connected(program: Program) -> set[str]:
    own = psutil.Process(program.process.pid)
    children = {child.pid for child in own.children()}
    served = {each.laddr for each in own.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    return {
        device
        for device, pid in program.device_pids().items()
        if pid in children
        and any(
            each.raddr in served
            for each in psutil.Process(pid).net_connections("tcp")
            if each.status == psutil.CONN_ESTABLISHED
        )
    }


def _state(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))
