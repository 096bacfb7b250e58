"""Devices of Constellation: agents that run tools for an orchestrator, in this process, in children, or far away.

`LocalDevices` and `ProcessDevices` start devices for an orchestrator; `DeviceAgent` is one device, for those who
bring their own link. Everything is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import DeviceAgent
    from .errors import BadDeviceSetup, DeviceNotStarted, DevicesError, StateInUse
    from .home import DeviceHome, open_home
    from .kinds.local import LocalDevices
    from .kinds.process import ProcessDevices
    from .runtime import DeviceSettings, run_device

_PLACES = {
    "BadDeviceSetup": "errors",
    "DeviceAgent": "agent",
    "DeviceHome": "home",
    "DeviceNotStarted": "errors",
    "DeviceSettings": "runtime",
    "DevicesError": "errors",
    "LocalDevices": "kinds.local",
    "ProcessDevices": "kinds.process",
    "StateInUse": "errors",
    "open_home": "home",
    "run_device": "runtime",
}

__all__ = [
    "BadDeviceSetup",
    "DeviceAgent",
    "DeviceHome",
    "DeviceNotStarted",
    "DeviceSettings",
    "DevicesError",
    "LocalDevices",
    "ProcessDevices",
    "StateInUse",
    "open_home",
    "run_device",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
