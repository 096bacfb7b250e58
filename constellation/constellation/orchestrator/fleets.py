"""Fleets: the devices that an orchestrator starts for itself.

A fleet of processes is written down in a file of its own, readable by its owner only: the port, the tokens and the
devices. Processes outlive an orchestrator that is killed, for a while; the next one opens the same port with the same
tokens, takes back those that are still there with what they have done meanwhile, and starts the others anew.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel, TypeAdapter, ValidationError

from constellation_protocol.kinds import DeviceKind, DeviceSpec, ModelAgent, StartedDevice
from constellation_protocol.settings import ReconnectPolicy, SessionSettings
from constellation_protocol.tasks import background

from .device_kinds import load_device_kind
from .errors import CannotResume, DeviceUnsuited
from .hub import Hub
from .listening import listening
from .survivors import Survivor, find_survivors

LOOPBACK = "127.0.0.1"

EMBEDDED_SESSIONS = SessionSettings(resume_window_s=10.0)
"""Sessions of devices that this process has started itself: it knows at once when one of them dies."""

_FLEET_ID = re.compile(r"[0-9a-f]{1,16}-[0-9a-f]{12}")

RETURN_S = ReconnectPolicy().max_delay_s + 2.0
"""How long surviving devices may take to come back before they are counted as gone: longer than they wait to dial."""


class FleetFile(BaseModel):
    """What the next orchestrator needs to know of a fleet."""

    kind: str
    port: int
    tokens: dict[str, str]
    devices: list[DeviceSpec]


_FLEET = TypeAdapter(FleetFile)


@dataclass(slots=True)
class Fleet:
    """Devices that were started.

    Attributes:
        id: The fleet's id, for `restart_devices`; None when its devices die with this process.
        size: How many devices it is to have.
        started: The devices that this process can offer functions to, and stops in the end.
        tools: What devices in this process were given to offer.
        needed: Whether a run may want its devices back; where not, nothing of them is kept once they are stopped.
    """

    id: str | None
    size: int
    started: list[StartedDevice]
    tools: Sequence[object] = ()
    needed: bool = False


@asynccontextmanager
async def start_devices(
    hub: Hub, specs: Sequence[DeviceSpec], kind: str, *, home: Path, settings: SessionSettings
) -> AsyncIterator[Fleet]:
    """Start devices; leaving the context stops them, and nothing of them is left."""
    made = load_device_kind(kind)
    async with AsyncExitStack() as stack:
        if made.in_process:
            devices = await stack.enter_async_context(made())
            tools = [tool for spec in specs for tool in spec.tools]
            yield Fleet(None, len(specs), [await devices.start(spec, hub) for spec in specs], tools)
            return
        fleet = f"{os.getpid():x}-{secrets.token_hex(6)}"
        folder = _folder(home, fleet)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        made_up = Fleet(fleet, len(specs), [])
        stack.callback(_forget_unless_needed, made_up, folder)
        specs = [_on_its_own(spec, folder / f"device-{number}") for number, spec in enumerate(specs, start=1)]
        await stack.enter_async_context(listening(hub, LOOPBACK, 0, settings=settings))
        for spec in specs:
            hub.issue_token(spec.name)
        _write(folder, FleetFile(kind=kind, port=_port(hub), tokens=dict(hub.door.issued), devices=list(specs)))
        watch = await stack.enter_async_context(background())
        devices = await stack.enter_async_context(made())
        made_up.started = await _start_all(devices, specs, hub, watch)
        yield made_up
        watch.cancel_scope.cancel()


@asynccontextmanager
async def restart_devices(hub: Hub, fleet: str, *, home: Path, settings: SessionSettings) -> AsyncIterator[Fleet]:
    """Bring a fleet back whose orchestrator has stopped.

    Raises:
        CannotResume: nothing is known of it any more.
    """
    folder = _folder(home, fleet)
    noted = _read(folder)
    hub.door.take_back(noted.tokens)
    survivors = find_survivors(noted.devices)
    restarted = Fleet(fleet, len(noted.devices), [], needed=True)
    async with AsyncExitStack() as stack:
        stack.callback(_forget_unless_needed, restarted, folder)
        stack.push_async_callback(_close_all, survivors)
        await _listen_again(stack, hub, noted.port if survivors else 0, settings)
        _write(folder, noted.model_copy(update={"port": _port(hub)}))
        watch = await stack.enter_async_context(background())
        back = await _await_return(hub, survivors) if _port(hub) == noted.port else []
        await _close_all([survivor for survivor in survivors if survivor not in back])
        for survivor in back:
            _watch(watch, survivor, hub)
        devices = await stack.enter_async_context(load_device_kind(noted.kind)())
        names = {survivor.name for survivor in back}
        missing = [spec for spec in noted.devices if spec.name not in names]
        restarted.started = await _start_all(devices, missing, hub, watch)
        yield restarted
        watch.cancel_scope.cancel()


def surviving(home: Path, fleet: str) -> frozenset[str]:
    """The names of a fleet's devices whose processes live on; raises CannotResume when the fleet is not known."""
    return frozenset(survivor.name for survivor in find_survivors(_read(_folder(home, fleet)).devices))


def models_of(home: Path, fleet: str) -> frozenset[str]:
    """The models that carry out prompts on a fleet's devices; raises CannotResume when the fleet is not known."""
    agents = [spec.agent for spec in _read(_folder(home, fleet)).devices]
    return frozenset(agent.model for agent in agents if isinstance(agent, ModelAgent))


def dead_fleets(home: Path, *, needed: Collection[str], before: float) -> list[Path]:
    """The folders of fleets that nobody will take back: see `design/fleets.md`.

    Args:
        home: Where fleets are kept.
        needed: The fleets of runs that have not ended.
        before: When a folder has to have been changed last, in seconds since the epoch.
    """
    import psutil

    dead = []
    for folder in sorted((home / "fleets").glob("*")):
        if _FLEET_ID.fullmatch(folder.name) is None or folder.name in needed or folder.stat().st_mtime >= before:
            continue
        if psutil.pid_exists(int(folder.name.partition("-")[0], 16)):
            continue  # perhaps the orchestrator that has started it
        try:
            survivors = find_survivors(_read(folder).devices)
        except CannotResume:
            survivors = []
        if not survivors:
            dead.append(folder)
    return dead


async def _listen_again(stack: AsyncExitStack, hub: Hub, port: int, settings: SessionSettings) -> None:
    """Listen where the survivors dial, or, when something else has taken that port meanwhile, on a free one."""
    try:
        await stack.enter_async_context(listening(hub, LOOPBACK, port, settings=settings))
    except OSError:
        if port == 0:
            raise
        await stack.enter_async_context(listening(hub, LOOPBACK, 0, settings=settings))


def _folder(home: Path, fleet: str) -> Path:
    """Where a fleet is kept; raises CannotResume for what is not the id of one."""
    if _FLEET_ID.fullmatch(fleet) is None:
        raise CannotResume(f"the run says that its devices are {fleet!r}, which is no id of devices")
    return home / "fleets" / fleet


def _read(folder: Path) -> FleetFile:
    try:
        return _FLEET.validate_json((folder / "fleet.json").read_bytes())
    except FileNotFoundError:
        raise CannotResume(f"the devices of this run are not known any more: {folder} is gone") from None
    except ValidationError:
        # Its text would repeat what is in the file, which are tokens.
        raise CannotResume(f"what is noted of the devices of this run can't be read: {folder / 'fleet.json'}") from None


def _forget_unless_needed(fleet: Fleet, folder: Path) -> None:
    if not fleet.needed:
        shutil.rmtree(folder, ignore_errors=True)


async def _start_all(kind: DeviceKind, specs: Sequence[DeviceSpec], hub: Hub, watch: TaskGroup) -> list[StartedDevice]:
    """Start devices side by side."""
    started: dict[str, StartedDevice] = {}
    failures: list[OSError] = []

    async def start(spec: DeviceSpec) -> None:
        try:
            started[spec.name] = device = await kind.start(spec, hub)
        except OSError as error:
            failures.append(error)
            starting.cancel_scope.cancel()
        else:
            _watch(watch, device, hub)

    async with background() as starting:
        for spec in specs:
            starting.start_soon(start, spec)
    if failures:
        raise failures[0]  # one is enough to know; the others most often say the same
    return [started[spec.name] for spec in specs]


def _watch(tasks: TaskGroup, device: StartedDevice, hub: Hub) -> None:
    """Have the hub know at once when the process of a device has died, rather than when its session runs out."""

    async def until_dead() -> None:
        await hub.drop(device.name, await device.wait_ended())

    tasks.start_soon(until_dead)


async def _await_return(hub: Hub, survivors: Sequence[Survivor]) -> list[Survivor]:
    """Wait a little for devices that live on to dial in again, and return those that do."""
    wanted = {survivor.name for survivor in survivors}
    with anyio.move_on_after(RETURN_S):
        while not wanted <= set(hub.devices):
            await hub.wait_changed()
    return [survivor for survivor in survivors if survivor.name in hub.devices]


async def _close_all(survivors: Sequence[Survivor]) -> None:
    """Stop processes side by side."""
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as closing:
            for survivor in survivors:
                closing.start_soon(survivor.aclose)


def _on_its_own(spec: DeviceSpec, place: Path) -> DeviceSpec:
    """A spec that can be written down: tools by reference, and a place for the device's state if it has none."""
    references = [tool if isinstance(tool, str) else getattr(tool, "reference", None) for tool in spec.tools]
    for tool, reference in zip(spec.tools, references, strict=True):
        if reference is None:
            raise DeviceUnsuited(
                f"the device {spec.name!r} runs in a process of its own and can't be given {tool!r}: "
                "define it with @tool at the top level of a module, or name it as 'module:attr'"
            )
    return replace(spec, tools=tuple(references), state_dir=spec.state_dir or place)


def _port(hub: Hub) -> int:
    return int(hub.url.rpartition(":")[2].partition("/")[0])


def _write(folder: Path, fleet: FleetFile) -> None:
    """Write the file whole or not at all, for its owner's eyes only."""
    fresh = folder / "fleet.json.new"
    opener: Callable[[str, int], int] = lambda name, flags: os.open(name, flags, 0o600)  # noqa: E731 - one use
    with open(fresh, "wb", opener=opener) as file:
        file.write(_FLEET.dump_json(fleet))
    fresh.replace(folder / "fleet.json")
