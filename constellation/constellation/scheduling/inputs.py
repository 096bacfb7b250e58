"""What happens to the fleet: the scheduler's input events that belong to no single run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..graph.record import record
from .events import AttemptId, DeviceId


@record
class Offer:
    """What a device has to offer.

    Attributes:
        labels: Matched by equality with the text in a star's `requires`.
        resources: Amounts that stars reserve with the numbers in `requires`.
        slots: How many stars it runs at once.
        tools: Its tools, each with whether calling it twice is as good as once.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    slots: int = 1
    tools: Mapping[str, bool] = field(default_factory=dict)


@record
class DeviceJoined:
    """A device has opened a session.

    Attributes:
        at: When, in seconds since the epoch.
        device: Which.
        epoch: The session's number; higher than that of any earlier session of the device.
        offer: What it offers.
        known: The attempts that it runs or has results of.
        memory: The name of its record of attempts; while it is the same, nothing has been forgotten.
    """

    at: float
    device: DeviceId
    epoch: int
    offer: Offer
    known: frozenset[AttemptId] = frozenset()
    memory: str = ""


@record
class DeviceChanged:
    """A device offers something else than before."""

    at: float
    device: DeviceId
    epoch: int
    offer: Offer


@record
class DeviceDraining:
    """A device takes nothing new, but finishes what it has."""

    at: float
    device: DeviceId
    epoch: int


@record
class DeviceLeft:
    """A session has ended for good, and with it what the device was doing."""

    at: float
    device: DeviceId
    epoch: int
    reason: str = ""


@record
class Tick:
    """Time has passed; sent about once a second while there are runs."""

    at: float


FleetEvent = DeviceJoined | DeviceChanged | DeviceDraining | DeviceLeft | Tick
"""Any event of the fleet."""

FLEET_EVENTS = (DeviceJoined, DeviceChanged, DeviceDraining, DeviceLeft, Tick)
"""The same as a tuple, which `isinstance` is many times faster with than with a union."""
