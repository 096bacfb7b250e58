"""Tools that the device tests run, in this process and in others; loaded from this file by its path."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio

from constellation_tools import Artifact, ToolContext, ToolFailed, tool


@tool(blocking=False)
def add(a: int, b: int) -> int:
    """Add two numbers on the event loop."""
    return a + b


@tool
async def add_soon(a: int, b: int) -> int:
    """Add two numbers in a coroutine."""
    await anyio.lowlevel.checkpoint()
    return a + b


@tool
def process_id() -> dict[str, int]:
    """Say which process this is."""
    return {"pid": os.getpid(), "group": os.getpgrp()}


@tool
def environment(name: str) -> str | None:
    """Read an environment variable."""
    return os.environ.get(name)


@tool
def chatter(lines: int) -> int:
    """Print lines to both streams, through a program too, and report."""
    for number in range(lines):
        print(f"line {number}")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "from a program"], check=True)
    print("no newline at the end", end="")
    return lines


@tool(blocking=False)
def try_at_once(context: ToolContext) -> str:
    """Say which try this is, on the event loop."""
    return context.attempt


@tool
def try_blocking(context: ToolContext) -> str:
    """Say which try this is, in a worker process or in a thread."""
    return context.attempt


@tool
def report(context: ToolContext) -> str:
    """Report progress in all ways."""
    context.progress("started", fraction=0.25)
    context.progress(data={"rows": [1, 2]})
    context.progress(fraction=1.0)
    return "reported"


@tool
def sleep_with_child(marker: str) -> None:
    """Start a program, write its process id and our own to a file, and sleep for long."""
    child = subprocess.Popen(["sleep", "600"])
    partial = Path(f"{marker}.part")
    partial.write_text(f"{os.getpid()} {child.pid}")
    partial.rename(marker)
    time.sleep(600)


@tool
def tidy_up(started: str, tidied: str) -> None:
    """Sleep until interrupted, then say in a file that we tidied up."""
    try:
        Path(started).touch()  # from here on it may be interrupted, before this line has ended even
        time.sleep(600)
    finally:
        Path(tidied).touch()


@tool
def stubborn(started: str) -> None:
    """Ignore every interruption."""
    Path(started).touch()
    while True:
        with suppress(BaseException):
            time.sleep(600)


@tool
def fail(message: str) -> None:
    """Raise something unexpected."""
    raise LookupError(message)


@tool
def fail_as_expected() -> None:
    """Raise what tools raise."""
    raise ToolFailed("there is no such file")


@tool
def leave() -> None:
    """Try to end the process in good order."""
    sys.exit(3)


@tool
def crash() -> None:
    """End the process without a word."""
    print("goodbye, cruel world", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(600)


@tool
def once(ledger: str) -> int:
    """Write a line into a file and end the process: a second call would write a second line."""
    with Path(ledger).open("a") as file:
        file.write("called\n")
    os._exit(9)


@tool
def big(size: int) -> str:
    """Return a long text."""
    return "x" * size


@tool
def odd(levels: int, digits: int) -> Any:
    """Return a number of so many digits, so many levels deep."""
    value: Any = 10 ** (digits - 1)
    for _ in range(levels):
        value = [value]
    return value


@tool(blocking=False)
def big_at_once(size: int) -> str:
    """Return a long text from the event loop."""
    return "x" * size


@tool
def write_file(text: str, context: ToolContext) -> dict[str, Any]:
    """Keep bytes and a file, and return them nested."""
    path = context.workdir / "made.txt"
    path.write_text(text)
    return {"files": [context.artifact(text.encode(), name="bytes.txt"), context.artifact(path)]}


@tool
def read_file(file: Artifact, context: ToolContext) -> str:
    """Read a file that came from another device, in both ways."""
    assert context.path(file) == file.path
    return file.path.read_text()


@tool
async def read_file_soon(file: Artifact) -> str:
    """Read a file in a coroutine."""
    return await anyio.Path(file.path).read_text()


@tool(timeout_s=0.2)
async def hasty() -> None:
    """Take longer than the tool itself allows."""
    await anyio.sleep_forever()


@tool(timeout_s=0.3)
def hasty_process(marker: str) -> None:
    """Take longer than the tool itself allows, in a process."""
    Path(marker).write_text(str(os.getpid()))
    time.sleep(600)


@tool
async def wait_forever() -> None:
    """Wait until cancelled."""
    await anyio.sleep_forever()


@tool
async def shielded(release: str) -> str:
    """Shield ourselves from cancellation until a file appears."""
    with anyio.CancelScope(shield=True):
        while not await anyio.Path(release).exists():
            await anyio.sleep(0.01)
    return "late"


@tool
def append_after(path: str, gate: str, line: str) -> str:
    """Wait for a file, then append a line to another."""
    while not Path(gate).exists():
        time.sleep(0.02)
    with Path(path).open("a") as file:
        file.write(line + "\n")
    return line


def make_local_tools(released: threading.Event, seen: list[Any]) -> list[Any]:
    """Tools that only this process can run."""

    def thread_wait(context: ToolContext) -> None:
        """Wait in a thread until cancelled."""
        seen.append("started")
        context.progress("started")
        while not context.cancelled:
            time.sleep(0.005)
        context.progress("too late")
        seen.append("noticed")
        released.set()

    def thread_report(context: ToolContext) -> str:
        """Report from a thread of our own."""
        thread = threading.Thread(target=context.progress, args=("from a thread of its own",))
        thread.start()
        thread.join()
        context.progress("from the tool's thread")
        return "done"

    return [thread_wait, thread_report]


some_tools = [add, add_soon, process_id]
