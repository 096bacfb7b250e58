"""AIP, the Agent Interaction Protocol: how an orchestrator and its devices talk.

Both sides are written against `Link`. A device opens one with `dial`, an orchestrator gets one per session from
`listen`, and within one process `direct_link` makes both ends. What needs the websockets library or touches disks is
loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    ArtifactCorrupt,
    ArtifactError,
    FrameTooLarge,
    LinkClosed,
    LocalProtocolError,
    ProtocolError,
    Refused,
    RemoteProtocolError,
    TransportClosed,
)
from .link import Link
from .messages import (
    PROTOCOL_VERSION,
    Accept,
    ArtifactChunk,
    ArtifactDone,
    ArtifactInfo,
    ArtifactOffer,
    ArtifactRequest,
    Assign,
    Cancel,
    DeviceProfile,
    Drain,
    ErrorInfo,
    Goodbye,
    Gpu,
    Hello,
    Limits,
    Message,
    ProfileUpdate,
    Progress,
    Reject,
    Result,
    ToolInfo,
    ToolWork,
    Welcome,
)
from .settings import ReconnectPolicy, SessionSettings

if TYPE_CHECKING:
    from .artifacts import ArtifactStore
    from .dialer import dial
    from .direct import direct_link
    from .kinds import DeviceKind, DeviceSpec, HubDoor, StartedDevice
    from .listener import Listener, listen
    from .schema import message_schema
    from .transfer import ArtifactTransfers
    from .transport import Transport

_LAZY = {
    "ArtifactStore": "artifacts",
    "ArtifactTransfers": "transfer",
    "DeviceKind": "kinds",
    "DeviceSpec": "kinds",
    "HubDoor": "kinds",
    "Listener": "listener",
    "StartedDevice": "kinds",
    "Transport": "transport",
    "dial": "dialer",
    "direct_link": "direct",
    "listen": "listener",
    "message_schema": "schema",
}

__all__ = [
    "PROTOCOL_VERSION",
    "Accept",
    "ArtifactChunk",
    "ArtifactCorrupt",
    "ArtifactDone",
    "ArtifactError",
    "ArtifactInfo",
    "ArtifactOffer",
    "ArtifactRequest",
    "ArtifactStore",
    "ArtifactTransfers",
    "Assign",
    "Cancel",
    "DeviceKind",
    "DeviceProfile",
    "DeviceSpec",
    "Drain",
    "ErrorInfo",
    "FrameTooLarge",
    "Goodbye",
    "Gpu",
    "Hello",
    "HubDoor",
    "Limits",
    "Link",
    "LinkClosed",
    "Listener",
    "LocalProtocolError",
    "Message",
    "ProfileUpdate",
    "Progress",
    "ProtocolError",
    "ReconnectPolicy",
    "Refused",
    "Reject",
    "RemoteProtocolError",
    "Result",
    "SessionSettings",
    "StartedDevice",
    "ToolInfo",
    "ToolWork",
    "Transport",
    "TransportClosed",
    "Welcome",
    "dial",
    "direct_link",
    "listen",
    "message_schema",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value
