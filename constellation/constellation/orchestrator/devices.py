"""What is known of connected devices, and waiting for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from ..scheduling import DeviceLoad
from .errors import DevicesMissing
from .hub import ConnectedDevice, Hub


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
