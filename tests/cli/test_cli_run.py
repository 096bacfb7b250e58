"""Runs from the command line, with real device processes: shown, stopped, resumed, reported."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from constellation.cli import main
from constellation.cli.following import CUT_OFF

pytestmark = pytest.mark.e2e

Flow = Callable[..., str]
Start = Callable[..., Any]
NothingLeft = Callable[[list[psutil.Process]], None]

TOOLS = '''"""Tools that a test can watch and hold up."""
import os, pathlib, time
from constellation_tools import tool

@tool(idempotent=True)
def mark(name: str) -> int:
    """Leave a mark and return how many there are."""
    with open("marks", "a") as file:
        file.write(name + "\\n")
    return len(pathlib.Path("marks").read_text().split())

@tool(idempotent=True)
def wait_for(path: str) -> str:
    """Wait until a file is there."""
    while not os.path.exists(path):
        time.sleep(0.02)
    return path

@tool(idempotent=True)
def start_program(path: str) -> None:
    """Start a program, tell its id, and wait for it."""
    import subprocess
    program = subprocess.Popen(["sleep", "4321"])
    with open(path, "w") as told:
        told.write(str(program.pid))
    program.wait()

@tool
def fail(message: str) -> None:
    """Fail."""
    raise RuntimeError(message)
'''

QUICK = """
name: quick
stars:
  a: {work: {tool: mark, arguments: {name: a}}}
  b: {work: {tool: mark, arguments: {name: b}}}
lines: [{source: a, target: b}]
"""

HELD_UP = """
name: held up
stars:
  a: {work: {tool: mark, arguments: {name: a}}}
  b: {work: {tool: wait_for, arguments: {path: %s}}}
  c: {work: {tool: mark, arguments: {name: c}}}
lines: [{source: a, target: b}, {source: b, target: c}]
"""

FAILING = """
name: failing
stars:
  a: {work: {tool: fail, arguments: {message: "no\\e[2J"}}}
  b: {work: {tool: system_profile}}
lines: [{source: a, target: b}]
"""


@pytest.fixture(autouse=True)
def tools(home: Path) -> None:
    """The working directory holds the tools."""
    Path("tools.py").write_text(TOOLS)


@pytest.fixture
def held_up(flow: Flow) -> str:
    """A workflow that stands still until the file `go` is there."""
    return flow(HELD_UP % Path("go").absolute())


def test_a_run_ends_with_the_documented_json_line_and_nothing_else_is_printed(flow: Flow, start: Start) -> None:
    program = start("run", flow(QUICK), "--tools", "tools.py", "--devices", "1", "--json", "--report", "r.md")
    assert program.end() == 0, program.errors
    events = [json.loads(line) for line in program.lines]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    last = events[-1]
    assert last.pop("time") > 0
    assert last.pop("makespan_s") > 0
    assert last == {
        "event": "run_finished",
        "seq": len(events),
        "run": events[0]["run"],
        "state": "succeeded",
        "stars": {"succeeded": 2},
        "width": 1,
        "report": "r.md",
    }
    assert program.errors == ""
    assert Path("marks").read_text() == "a\nb\n"
    report = Path("r.md").read_text(encoding="utf-8")
    assert report.startswith("# quick: succeeded\n")
    assert "flowchart TD" in report


def test_a_failed_run_is_code_1_and_says_what_failed_and_what_was_skipped(flow: Flow, start: Start) -> None:
    program = start("run", flow(FAILING), "--tools", "tools.py", "--devices", "1")
    assert program.end() == 1
    assert "  failed   a on device-1: RuntimeError: no\\e[2J" in program.lines
    assert "  skipped  b" in program.lines
    assert "\x1b" not in "".join(program.lines)


@pytest.mark.parametrize(("option", "code"), [("all", 0), ("none", 1), ("ask", 1)])
def test_approvals_without_a_terminal(option: str, code: int, flow: Flow, start: Start) -> None:
    name = flow("name: x\nstars:\n  gate: {work: {question: Go on?}}\n")
    program = start("run", name, "--devices", "1", "--json", "--approve", option)
    settled = program.until_event("star_settled", star="gate")
    assert program.end() == code
    assert settled["state"] == ("succeeded" if code == 0 else "failed")
    assert ("give --approve all" in program.errors) is (option == "ask")


def test_a_deadline_ends_the_run(held_up: str, start: Start) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--deadline", "0.5")
    assert program.end() == 1
    assert any(line.startswith("  why      the run took longer than its deadline") for line in program.lines)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_hindrance(closed: str, flow: Flow) -> None:
    name = flow("name: x\nstars:\n  a: {work: {tool: files_write, arguments: {path: made, text: x}}}\n")
    program = f"{shlex.quote(sys.executable)} -c 'import sys; from constellation.cli import main; sys.exit(main())'"
    ended = subprocess.run(
        ["sh", "-c", f"{program} run {name} --devices 1 {closed}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert Path("made").read_text() == "x"


@pytest.mark.parametrize("deadline", ["0", "inf"])
def test_a_deadline_of_no_time_or_no_end_is_refused(
    deadline: str, held_up: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", held_up, "--deadline", deadline]) == 2
    assert f"error: --deadline {deadline} " in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_run_leaves_nothing_behind_and_can_be_resumed(
    number: signal.Signals, code: int, held_up: str, start: Start, nothing_left: NothingLeft
) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "2", "--json", "--journal", "my journal.db")
    run = program.until_event("star_started", star="b")["run"]
    family = program.family()
    assert len(family) >= 2
    program.signal(number)
    assert program.end() == code
    assert program.errors.splitlines() == [
        f"stopped; resume it with: constellation resume {run} --journal 'my journal.db'",
        CUT_OFF,
    ]
    nothing_left(family)

    Path("go").touch()
    again = start("resume", run[:-1], "--journal", "my journal.db", "--json")
    assert again.end() == 0, (again.lines, again.errors)
    last = json.loads(again.lines[-1])
    assert (last["event"], last["state"], last["stars"]) == ("run_finished", "succeeded", {"succeeded": 3})
    assert Path("marks").read_text() == "a\nc\n", "what had ended was not run again"


PROGRAMS = """
name: programs
stars:
  shell: {work: {tool: shell_run, arguments: {argv: [sh, -c, "sleep 4321 & echo $! >program; wait"]}}}
  tool: {work: {tool: start_program, arguments: {path: started}}}
  last: {work: {tool: system_profile}}
lines: [{source: shell, target: last}, {source: tool, target: last}]
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_a_terminal_ends_the_programs_of_tools_too(
    number: signal.Signals, flow: Flow, start: Start, nothing_left: NothingLeft
) -> None:
    """A terminal sends it to all that run in the foreground, those that the command would stop in good order too."""
    os.mkfifo("started")
    program = start("run", flow(PROGRAMS), "--tools", "tools.py", "--devices", "1", "--json")
    run = program.until_event("star_started")["run"]
    with open("started") as told:  # which waits for the tool
        pid = int(told.read())
    family = program.family()
    assert pid in [member.pid for member in family]
    program.signal_all(number)
    assert program.end() == 128 + number
    assert program.errors.startswith(f"stopped; resume it with: constellation resume {run}")
    nothing_left(family)


def test_a_second_ctrl_c_ends_a_command_at_once_and_its_run_can_be_resumed(
    held_up: str, start: Start, nothing_left: NothingLeft
) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--json")
    run = program.until_event("star_started", star="b")["run"]
    family = program.family()
    device = next(member for member in family if "constellation_devices" in member.cmdline())
    device.suspend()  # so that it does not end when it is asked to, and is waited for
    program.signal(signal.SIGINT)
    while program.process.poll() is None:
        program.signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(timeout=0.1)
    assert program.process.returncode == 130
    device.resume()
    nothing_left(family)
    Path("go").touch()
    again = start("resume", run, "--json")
    assert again.end() == 0, (again.lines, again.errors)
    assert Path("marks").read_text() == "a\nc\n"


def test_a_killed_run_can_be_resumed(held_up: str, start: Start) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--json")
    run = program.until_event("star_started", star="b")["run"]
    program.process.kill()
    program.end()
    Path("go").touch()
    again = start("resume", run)
    assert again.end() == 0, (again.lines, again.errors)
    assert any("taken up again (1 succeeded" in line for line in again.lines)
    assert Path("marks").read_text() == "a\nc\n"


def test_a_signal_during_start_up_is_an_interruption_too(held_up: str, start: Start) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "2", "--json")
    child = psutil.Process(program.process.pid)
    while not child.children():
        assert program.process.poll() is None
        os.sched_yield()
    program.signal(signal.SIGINT)
    assert program.end() == 130
    assert program.errors == "stopped before the run had begun\n"
    assert program.lines == []


def test_a_reader_that_goes_away_ends_the_run_quietly(held_up: str, start: Start, nothing_left: NothingLeft) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--json")
    program.until_event("star_started", star="b")
    family = program.family()
    program.process.stdout.close()
    program.process.stdout = None
    Path("go").touch()
    assert program.end_of_errors() == (141, "")
    nothing_left(family)


def test_a_run_in_memory_says_that_it_cannot_be_resumed(held_up: str, start: Start) -> None:
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--json", "--journal", ":memory:")
    program.until_event("star_started", star="b")
    program.signal(signal.SIGINT)
    assert program.end() == 130
    assert program.errors == "stopped; its journal was in memory only, so it can't be resumed\n"


def test_a_report_that_cannot_be_written_in_the_end_is_told_after_the_last_event(held_up: str, start: Start) -> None:
    Path("out").mkdir()
    program = start("run", held_up, "--tools", "tools.py", "--devices", "1", "--json", "--report", "out/r.md")
    run = program.until_event("star_started", star="b")["run"]
    Path("out").rmdir()
    Path("go").touch()
    assert program.end() == 1
    assert json.loads(program.lines[-1])["event"] == "run_finished"
    assert program.errors == f"error: run {run}: out/r.md: No such file or directory; the run itself has ended\n"


def test_names_that_the_terminal_cannot_show_do_not_end_a_run(flow: Flow, home: Path) -> None:
    name = flow("name: caf\u00e9 \u2603\nstars:\n  a: {work: {tool: system_profile}, name: \u2603}\n")
    code = "import sys; from constellation.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "show", name],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert rb"caf\xe9 \u2603" in done.stdout
