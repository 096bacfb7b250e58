"""The processes of the measurement: a hub, and two devices that reach it through proxies which can cut and count."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import anyio
import psutil
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from constellation import Orchestrator
from constellation.orchestrator.client import RemoteOrchestrator
from constellation.testing.proxy import Proxy, proxy

from ..errors import ProcessFailed
from ..processes import kill_all

PROGRAM = "import sys; from constellation.cli import main; sys.exit(main())"
TOOLS = f"{__package__}.tools"
START_S = 60.0
MAKER, TAKER = "maker", "taker"
_READY = "hub at "


@dataclass(frozen=True, slots=True)
class Stage:
    """What is on stage.

    Attributes:
        hub: A client of the hub.
        folder: Where the hub and the devices keep their files, each in a directory of its name.
        wires: What stands between each device and the hub.
        processes: The programs, by name.
    """

    hub: RemoteOrchestrator
    folder: Path
    wires: Mapping[str, Proxy]
    processes: Mapping[str, psutil.Process]


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """Start a hub and two devices on loopback; nothing of them is left in the end.

    Raises:
        ProcessFailed: the hub did not start.
    """
    async with AsyncExitStack() as stack:
        token = folder / "token"
        environment = {**os.environ, "CONSTELLATION_HOME": str(folder / "hub")}
        serve = ("serve", "--port", "0", "--token-file", str(token), "--journal", str(folder / "journal.db"))
        hub = await stack.enter_async_context(_started(environment, folder / "hub.log", *serve, listen=True))
        url = await _url_of(hub)
        wires: dict[str, Proxy] = {}
        processes = {"hub": psutil.Process(hub.pid)}
        for name in (MAKER, TAKER):
            wire = await stack.enter_async_context(proxy(int(url.rpartition(":")[2].partition("/")[0])))
            wires[name] = wire
            joining = ("device", "--url", f"ws://127.0.0.1:{wire.port}", "--name", name, "--token-file", str(token))
            own = ("--tools", f"{TOOLS}:make_file", "--tools", f"{TOOLS}:read_file", "--state-dir", str(folder / name))
            device = await stack.enter_async_context(_started(environment, folder / f"{name}.log", *joining, *own))
            processes[name] = psutil.Process(device.pid)
        client = await stack.enter_async_context(Orchestrator.connect(url, token.read_text(encoding="ascii").strip()))
        await client.wait_for_devices(2, timeout_s=START_S)
        yield Stage(client, folder, wires, processes)


@asynccontextmanager
async def _started(
    environment: Mapping[str, str], log: Path, *arguments: str, listen: bool = False
) -> AsyncIterator[Process]:
    """One of our programs; it writes its log to a file, and is gone when the context ends."""
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        process = await anyio.open_process(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environment,
            stdin=DEVNULL,
            stdout=-1 if listen else said,
            stderr=said,
            start_new_session=True,
        )
    finally:
        os.close(said)
    async with process:
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                family = psutil.Process(process.pid).children(recursive=True) if process.returncode is None else []
                if process.returncode is None:
                    process.terminate()
                    with anyio.move_on_after(5.0):
                        await process.wait()
                kill_all(family)
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def _url_of(hub: Process) -> str:
    """The URL that the hub prints when it listens."""
    assert hub.stdout is not None, "its output was asked for"
    said = ""
    with anyio.move_on_after(START_S):
        async for text in TextReceiveStream(hub.stdout):
            said += text
            for line in said.splitlines(keepends=True):
                if line.startswith(_READY) and line.endswith("\n"):
                    return line.removeprefix(_READY).strip()
    raise ProcessFailed(f"ended without listening: the hub said {said[-300:]!r}")
