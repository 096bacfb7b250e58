"""A person at a terminal: the live view, questions, Ctrl-C from the keyboard, a window that changes its size."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e

Flow = Callable[..., str]
WAIT_S = 60.0
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


BEGIN = "import sys; from constellation.cli import main; sys.exit(main())"


class Terminal:
    """`constellation` at a terminal of its own."""

    def __init__(self, *arguments: str, environment: dict[str, str], before: str = "") -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            try:
                os.environ.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"} | environment)
                os.execv(sys.executable, [sys.executable, "-c", before + BEGIN, *arguments])
            finally:
                os._exit(127)  # whatever goes wrong here, the child must not go on with the tests
        self.resize(90, 24)
        self.text = ""
        self.code: int | None = None

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def until(self, pattern: str, *, after: int = 0) -> int:
        """Read until a pattern has come; returns where it ends."""
        while not (found := re.compile(pattern).search(self.text, after)):
            assert self._read(), f"{pattern!r} did not come: {self.text[-2000:]!r}"
        return found.end()

    def end(self) -> int:
        while self._read():
            pass
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self) -> None:
        if self.code is None:
            family = psutil.Process(self.pid).children(recursive=True)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            for member in family:
                if member.is_running():
                    member.kill()
        os.close(self._fd)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], WAIT_S)
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # how a pseudo-terminal says that the other side is closed
            data = b""
        self.text += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def at_terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def begin(*arguments: str, before: str = "", **environment: str) -> Terminal:
        terminals.append(Terminal(*arguments, environment=environment, before=before))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()


GATED = """
name: gated
stars:
  a: {work: {tool: python_run, arguments: {code: "print('x')"}}}
  gate: {work: {question: "Publish?", arguments: {what: {$ref: "a#/stdout"}}}}
  b: {work: {tool: python_run, arguments: {code: "print('y')"}}}
lines: [{source: gate, target: b}]
"""


def test_a_person_watches_answers_and_reads_the_summary(flow: Flow, at_terminal: Callable[..., Terminal]) -> None:
    terminal = at_terminal("run", flow(GATED), "--devices", "1")
    drawn = terminal.until(re.escape(ENTER))
    drawn = terminal.until("device-1", after=drawn)
    asked = terminal.until(r"Approve\? \[y\]es or \[n\]o", after=drawn)
    assert LEAVE in terminal.text[drawn:asked], "the view is out of the way while a person is asked"
    assert '"what": "x\\n"' in terminal.text[drawn:asked]
    terminal.type("y looks good\n")
    again = terminal.until(re.escape(ENTER), after=asked)
    assert terminal.end() == 0
    last = terminal.text.rindex(LEAVE)
    assert last > again
    assert re.search(r"run \S+ \(gated\) succeeded", terminal.text[last:])
    assert "3 succeeded" in terminal.text[last:]
    assert "\x1b[?25l" not in terminal.text[last:], "the cursor is left visible"


def test_ctrl_c_at_the_keyboard_gives_the_terminal_back_and_says_how_to_go_on(
    flow: Flow, at_terminal: Callable[..., Terminal], nothing_left: Callable[[list[psutil.Process]], None]
) -> None:
    terminal = at_terminal("run", flow(GATED), "--devices", "2")
    terminal.until(r"Approve\?")
    family = psutil.Process(terminal.pid).children(recursive=True)
    assert family
    terminal.type("\x03")
    assert terminal.end() == 130
    assert terminal.text.count(ENTER) == terminal.text.count(LEAVE)
    assert re.search(r"stopped; resume it with: constellation resume \S+\r\n.*--rerun-unknown.*\r\n$", terminal.text)
    nothing_left(family)


def test_the_view_follows_the_size_of_the_window(flow: Flow, at_terminal: Callable[..., Terminal]) -> None:
    held = Path("go").absolute()
    code = f"import os, time\nwhile not os.path.exists({str(held)!r}): time.sleep(0.02)"
    name = flow(f'name: sized\nstars:\n  a:\n    work: {{tool: python_run, arguments: {{code: "{escaped(code)}"}}}}\n')
    # What a parent has left in the environment of an older size is not believed.
    terminal = at_terminal("run", name, "--devices", "1", COLUMNS="80", LINES="24")
    wide = terminal.until("━{90}")
    terminal.resize(30, 8)
    home = terminal.until(re.escape("\x1b[H"), after=wide)
    # From some picture on, none is larger than the new window.
    for _ in range(20):
        home = terminal.until(re.escape("\x1b[H"), after=home)
    picture = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text[:home].split("\x1b[H")[-2])
    lines = picture.split("\r\n")
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 30
    held.touch()
    assert terminal.end() == 0


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def test_a_simple_terminal_gets_plain_lines_and_is_asked_all_the_same(
    flow: Flow, at_terminal: Callable[..., Terminal]
) -> None:
    terminal = at_terminal("run", flow(GATED), "--devices", "1", TERM="dumb")
    asked = terminal.until(r"Approve\?")
    terminal.type("n not today\n")
    assert terminal.end() == 1
    assert "\x1b" not in terminal.text
    assert "not today" in terminal.text[asked:]


def test_no_color_is_honoured(flow: Flow, at_terminal: Callable[..., Terminal]) -> None:
    terminal = at_terminal(
        "run", flow("name: x\nstars:\n  a: {work: {tool: files_list}}\n"), "--devices", "1", NO_COLOR="1"
    )
    assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.text)


def test_a_second_ctrl_c_ends_a_command_that_does_not_stop(home: Path) -> None:
    code = (
        "import anyio, sys\nfrom constellation.cli.stopping import run_until_stopped\n"
        "async def body():\n    print('ready', flush=True)\n    try:\n        await anyio.sleep_forever()\n"
        "    finally:\n        print('stopping', flush=True)\n        with anyio.CancelScope(shield=True):\n"
        "            await anyio.sleep_forever()\n"
        "sys.exit(run_until_stopped(body))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        # The same wish, twice at once, is one; only a later one is another.
        begun = time.monotonic()
        while process.poll() is None and time.monotonic() - begun < WAIT_S:
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        assert process.wait(timeout=WAIT_S) == 130
        assert time.monotonic() - begun > 0.5
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


ON_THIS_MACHINE = """
from constellation.llm import local_servers as local
async def find():
    facts = local.ServerFacts("ollama", "plain", ("qwen3",), {})
    return [local.LocalServer("http://127.0.0.1:9/v1", facts, ("ollama/qwen3@http://127.0.0.1:9/v1",))]
local.find_local_servers = find
"""


@pytest.mark.parametrize(("typed", "code"), [("\x03", 130), ("n\n", 2), ("\x04", 2)])
def test_whoever_is_offered_a_model_can_refuse_it_or_leave(
    typed: str, code: int, at_terminal: Callable[..., Terminal]
) -> None:
    terminal = at_terminal("ask", "x", before=ON_THIS_MACHINE)
    terminal.until(r"Use it\? \[y\]es or \[n\]o: ")
    terminal.type(typed)
    assert terminal.end() == code
    assert "Traceback" not in terminal.text
    assert ("stopped before the run had begun" if code == 130 else "give one with --model") in terminal.text
