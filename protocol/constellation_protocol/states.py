"""The state tables of a session: what can become of it and of its connection, and who may send what."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from .messages import PROTOCOL_VERSION, Accept, Assign, Cancel, ProfileUpdate, Progress, Reject, Result

SUPPORTED_VERSIONS = (PROTOCOL_VERSION,)


class Role(Enum):
    """Which side of a session this is."""

    DEVICE = "device"
    ORCHESTRATOR = "orchestrator"


class Life(Enum):
    """How far a session has come."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    LEAVING = "leaving"
    PARTING = "parting"
    ENDED = "ended"


class Wire(Enum):
    """How far the present connection has come."""

    DETACHED = "detached"
    OPENING = "opening"
    ATTACHED = "attached"


LIFE: dict[tuple[Life, str], Life] = {
    (Life.NEW, "welcome"): Life.OPEN,
    (Life.OPEN, "welcome"): Life.OPEN,
    (Life.OPEN, "our goodbye"): Life.CLOSING,
    (Life.OPEN, "their goodbye"): Life.LEAVING,
    (Life.CLOSING, "goodbye acknowledged"): Life.ENDED,
    (Life.CLOSING, "their goodbye"): Life.PARTING,
    (Life.LEAVING, "goodbye taken in"): Life.ENDED,
    (Life.PARTING, "all sent"): Life.ENDED,
    (Life.NEW, "end"): Life.ENDED,
    (Life.OPEN, "end"): Life.ENDED,
    (Life.CLOSING, "end"): Life.ENDED,
    (Life.LEAVING, "end"): Life.ENDED,
    (Life.PARTING, "end"): Life.ENDED,
}
"""What a session becomes by what happens; anything else is refused."""

WIRE: dict[tuple[Wire, str], Wire] = {
    (Wire.DETACHED, "hello"): Wire.OPENING,
    (Wire.OPENING, "welcome"): Wire.ATTACHED,
    (Wire.OPENING, "lost"): Wire.DETACHED,
    (Wire.ATTACHED, "lost"): Wire.DETACHED,
}
"""The same for its connection."""

DEVICE_ONLY = frozenset({ProfileUpdate, Accept, Reject, Progress, Result})
ORCHESTRATOR_ONLY = frozenset({Assign, Cancel})


def negotiate(offered: Sequence[int]) -> int | None:
    """Choose the highest version that both sides speak, or None."""
    return max(set(offered) & set(SUPPORTED_VERSIONS), default=None)
