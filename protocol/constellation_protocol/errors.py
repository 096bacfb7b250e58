"""Errors of the protocol package.

ProtocolError
├── LocalProtocolError      this side used the session wrongly: a bug of ours
├── RemoteProtocolError     the peer broke the rules; carries the code sent to it
│   └── FrameTooLarge       a frame is over the limit agreed at the opening
├── Refused                 the orchestrator refused the device; carries the refusal's code
└── LinkClosed              the session has ended
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of all errors of this package."""


class LocalProtocolError(ProtocolError):
    """Raised when this side's own code asks the session for something that its state does not allow."""


class RemoteProtocolError(ProtocolError):
    """Raised when the peer sends what the protocol forbids; the connection is closed after it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class FrameTooLarge(RemoteProtocolError):
    """Raised when a frame is longer than the limit agreed at the opening."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("frame-too-large", f"a frame of {size} bytes is over the limit of {limit} bytes")


class Refused(ProtocolError):
    """Raised on the device when the orchestrator refuses it."""

    def __init__(self, code: str, message: str, *, retry: bool = False) -> None:
        super().__init__(f"the orchestrator refused this device ({code}): {message}")
        self.code = code
        self.message = message
        self.retry = retry


class LinkClosed(ProtocolError):
    """Raised when a link is used after its session has ended; `reason` says how it ended."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"the session has ended: {reason}" if reason else "the session has ended")
        self.reason = reason
