"""Finding kinds of device by their entry points, so that this package never imports one."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, cast

from constellation_protocol.kinds import DeviceKind

from .errors import UnknownDeviceKind

GROUP = "constellation.device_kinds"


def load_device_kind(name: str) -> type[DeviceKind]:
    """The class of a kind of device; raises UnknownDeviceKind with the kinds that are installed."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UnknownDeviceKind(name, list(found))
    kind: Any = found[name].load()
    return cast("type[DeviceKind]", kind)
