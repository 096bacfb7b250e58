"""What is known of connected devices, and offering them the functions that a graph names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from constellation_protocol.kinds import StartedDevice

from ..scheduling import DeviceId, DeviceLoad
from .errors import DevicesMissing, DeviceUnsuited
from .hub import ConnectedDevice, Hub

OFFER_TIMEOUT_S = 10.0
"""How long devices in this process may take to offer a graph's functions."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A connected device.

    Attributes:
        name: Its id.
        state: `idle`, `busy`, `draining`, or `away` while its connection is being mended.
        slots: How many stars it runs at once.
        busy: How many it runs now.
        labels: What stars can require by equality.
        resources: What stars can reserve.
        tools: The names of its tools.
        pid: Its process, on its own host.
        os: Its operating system.
        agent: Its device agent and version.
    """

    name: str
    state: str
    slots: int
    busy: int
    labels: Mapping[str, str]
    resources: Mapping[str, float]
    tools: tuple[str, ...]
    pid: int | None
    os: str
    agent: str

    @classmethod
    def of(cls, device: ConnectedDevice, load: DeviceLoad | None) -> DeviceInfo:
        """What is to be said of a device."""
        profile = device.profile
        busy = len(load.attempts) if load is not None else 0
        if not device.link.connected:
            state = "away"
        elif device.draining:
            state = "draining"
        else:
            state = "busy" if busy else "idle"
        return cls(
            name=device.name,
            state=state,
            slots=profile.slots,
            busy=busy,
            labels=dict(profile.labels),
            resources=dict(profile.resources),
            tools=tuple(tool.name for tool in profile.tools),
            pid=profile.pid,
            os=profile.os,
            agent=profile.agent,
        )


async def wait_for_devices(hub: Hub, count: int, *, timeout_s: float) -> None:
    """Wait until that many devices are connected; raises DevicesMissing."""
    try:
        with anyio.fail_after(timeout_s):
            while len(hub.devices) < count:
                await hub.wait_changed()
    except TimeoutError:
        raise DevicesMissing(
            f"{len(hub.devices)} of {count} devices have joined within {timeout_s:g} s; look at their logs"
        ) from None


async def offer_functions(
    hub: Hub, devices: Sequence[StartedDevice], functions: Mapping[str, Callable[..., Any]]
) -> None:
    """Have the devices of this process offer a graph's functions, and wait until the hub has it from them.

    Functions that some connected device offers already are left alone.

    Raises:
        DeviceUnsuited: the devices live in other processes.
    """
    offered = {tool.name for device in hub.devices.values() for tool in device.profile.tools}
    missing = {name: function for name, function in functions.items() if name not in offered}
    if not missing:
        return
    for device in devices:
        try:
            device.offer(list(missing.values()))
        except TypeError as error:
            name = next(iter(missing))
            raise DeviceUnsuited(
                f"the function {name!r} lives in this process, but device {device.name!r} does not: name the module "
                "that holds it with tools=['module:attr'] (--tools on the command line), or use devices of kind 'local'"
            ) from error
    names = {DeviceId(device.name) for device in devices}
    with anyio.fail_after(OFFER_TIMEOUT_S):
        while not all(_offers(device, missing) for name, device in hub.devices.items() if name in names):
            await hub.wait_changed()


def _offers(device: ConnectedDevice, functions: Mapping[str, Any]) -> bool:
    return functions.keys() <= {tool.name for tool in device.profile.tools}
