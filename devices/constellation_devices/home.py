"""Where a device lives: its directories, its tools, its artifact store and the place where it keeps results."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from constellation_protocol.artifacts import ArtifactStore
from constellation_protocol.kinds import A2AAgent, DeviceSpec
from constellation_protocol.stored import remove_unused, stored_files
from constellation_tools import Tool, ToolsError, Toolset, load_tools

from .errors import BadDeviceSetup
from .kept import KeptResults, MemoryKept, SqliteKept

FILES_STAY_S = 7 * 86_400.0
"""How long a device that is started again keeps files that nothing has asked for."""


@dataclass(frozen=True, slots=True)
class DeviceHome:
    """What `open_home` has prepared for a device.

    Attributes:
        root: The directory that file, shell and python tools are confined to and that tools work in.
        tools: The built-in toolkits and what the device was told to offer besides.
        store: Files that tools take and make.
        kept: Results that wait for their acknowledgement.
    """

    root: Path
    tools: Toolset
    store: ArtifactStore
    kept: KeptResults


@contextmanager
def open_home(spec: DeviceSpec, *, durable: bool) -> Iterator[DeviceHome]:
    """Prepare a device's home and give it up at the end; what was temporary is deleted then.

    Args:
        spec: What the device was told.
        durable: Whether results must survive this process; else they are kept in memory.

    Raises:
        BadDeviceSetup: a directory can't be used or a tool can't be loaded; the message names it.
        StateInUse: another running device uses the state directory.
    """
    with ExitStack() as stack:
        root = _directory(stack, spec.root, "root")
        state_dir = _directory(stack, spec.state_dir, "state directory")
        tools = gather_tools(spec, root)
        store = ArtifactStore(state_dir / "artifacts")
        kept: KeptResults = SqliteKept(state_dir / "results.sqlite3") if durable else MemoryKept()
        stack.enter_context(closing(kept))
        if durable:
            remove_old_files(store, kept, before=time.time() - FILES_STAY_S)
        yield DeviceHome(root, tools, store, kept)


def remove_old_files(store: ArtifactStore, kept: KeptResults, *, before: float) -> None:
    """Remove the files that were last used before an instant, but for those that a result still has to be sent with.

    The orchestrator has all others, and sends again what is asked for.
    """
    owed = {info.sha256 for result in kept.unacknowledged() for info in result.artifacts}
    for file in list(stored_files(store.root)):
        if file.sha256 not in owed:
            remove_unused(store.root, file, before=before)


def gather_tools(spec: DeviceSpec, root: Path) -> Toolset:
    """Combine the built-in toolkits with the tools that the spec names; a named one may not hide a built-in one.

    A device that stands for an agent elsewhere has no built-in ones: they would be of this machine.

    Raises:
        BadDeviceSetup: a tool can't be loaded, two have the same name, or what is to be readable is not there.
    """
    tools = Toolset() if isinstance(spec.agent, A2AAgent) else _built_in(spec, root)
    for item in spec.tools:
        try:
            if isinstance(item, str):
                tools = tools + load_tools(item)
            else:
                tools.add(item)
        except ToolsError as error:
            name = item if isinstance(item, str) else item.name if isinstance(item, Tool) else repr(item)
            raise BadDeviceSetup(f"can't offer the tool {name}: {error}") from error
    return tools


def _built_in(spec: DeviceSpec, root: Path) -> Toolset:
    from constellation_tools.toolkits import Sandbox, builtin_tools  # loads an HTTP client

    for place in spec.sandbox_readable:
        if not place.exists():
            raise BadDeviceSetup(f"{place} can't be made readable in the sandbox: it does not exist")
    sandbox = Sandbox(network=spec.sandbox_network, readable=tuple(place.absolute() for place in spec.sandbox_readable))
    return builtin_tools(root, tuple(spec.allow_hosts), sandbox=sandbox)


def _directory(stack: ExitStack, given: Path | None, what: str) -> Path:
    if given is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="constellation-")))
    try:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadDeviceSetup(f"the {what} {given} can't be used: {error.strerror or error}") from error
    return given.resolve()
