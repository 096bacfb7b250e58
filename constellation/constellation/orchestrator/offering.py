"""Offering the functions of this process, which a graph names but does not carry, through the devices in this process.

A name stands for one function at a time. Another function of the same name takes its place when no run is going on that
may need the first; otherwise it is refused, because one of the two would silently run in place of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import anyio

from constellation_protocol.kinds import StartedDevice

from ..scheduling import DeviceId
from .errors import DeviceUnsuited, NameTaken
from .hub import Hub

OFFER_TIMEOUT_S = 10.0
"""How long devices in this process may take to offer a graph's functions."""


class Offering:
    """Which functions the devices of this process offer, by tool name."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._devices: Sequence[StartedDevice] = ()
        self._offered: dict[str, Callable[..., Any]] = {}

    def begin(self, devices: Sequence[StartedDevice], tools: Iterable[Any]) -> None:
        """Take note of the devices that were started, and of what they were given to offer from the start."""
        self._devices = devices
        for tool in tools:
            name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
            if callable(tool) and isinstance(name, str):
                self._offered[name] = tool

    async def offer(self, functions: Mapping[str, Callable[..., Any]], *, needed: bool) -> None:
        """Have the devices offer functions, and wait until the hub has it from them.

        Args:
            functions: The functions by tool name.
            needed: Whether what is offered already may be needed still.

        Raises:
            DeviceUnsuited: the devices live in other processes.
            NameTaken: the name stands for another function, or for a tool of the devices' own.
        """
        new = {name: function for name, function in functions.items() if self._offered.get(name) is not function}
        known = {tool.name for device in self._hub.devices.values() for tool in device.profile.tools}
        missing = {name: function for name, function in new.items() if name not in known}
        if self._live_here:
            for name in new.keys() - missing.keys():
                if needed or name not in self._offered:
                    raise NameTaken(name)
            missing = new
        if not missing:
            return
        before = {name: device.profile for name, device in self._hub.devices.items()}
        for device in self._devices:
            try:
                device.offer(list(missing.values()))
            except TypeError as error:
                raise DeviceUnsuited(
                    f"the function {next(iter(missing))!r} lives in this process, but device {device.name!r} does not: "
                    "name the module that holds it with tools=['module:attr'] (--tools on the command line), or use "
                    "devices of kind 'local'"
                ) from error
        self._offered.update(missing)
        ours = {DeviceId(device.name) for device in self._devices}
        with anyio.fail_after(OFFER_TIMEOUT_S):
            while any(device.profile is before.get(name) for name, device in self._hub.devices.items() if name in ours):
                await self._hub.wait_changed()

    @property
    def _live_here(self) -> bool:
        """Whether the devices were started in this process: elsewhere a name is all that is known of a tool."""
        return bool(self._devices) and not self._hub.url
