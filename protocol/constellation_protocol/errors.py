"""Errors of the protocol package.

ProtocolError
├── LocalProtocolError      this side used the session wrongly: a bug of ours
├── RemoteProtocolError     the peer broke the rules; carries the code sent to it
│   └── FrameTooLarge       a frame is over the limit agreed at the opening
├── Refused                 the orchestrator refused the device; carries the refusal's code
├── TransportClosed         a connection is gone or can't be made; the session may outlive it
├── BadTlsFiles             certificates or keys can't be used
├── LinkClosed              the session has ended
└── ArtifactError           an artifact can't be had
    └── ArtifactCorrupt     the bytes that came are not those that were announced
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

    def __init__(self, size: int | None, limit: int) -> None:
        # A transport may stop reading at the limit, without knowing how long the frame would have been.
        what = "a frame" if size is None else f"a frame of {size} bytes"
        super().__init__("frame-too-large", f"{what} is over the limit of {limit} bytes")


class Refused(ProtocolError):
    """Raised on the device when the orchestrator refuses it."""

    def __init__(self, code: str, message: str, *, retry: bool = False) -> None:
        super().__init__(f"the orchestrator refused this device ({code}): {message}")
        self.code = code
        self.message = message
        self.retry = retry


class BadTlsFiles(ProtocolError):
    """Raised when files with certificates or keys can't be used; the message names them and says why."""


class LinkClosed(ProtocolError):
    """Raised when a link is used after its session has ended; `reason` says how it ended."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"the session has ended: {reason}" if reason else "the session has ended")
        self.reason = reason


class TransportClosed(ProtocolError):
    """Raised by a transport that is closed, was cut or can't be opened; the message says which and why."""


class ArtifactError(ProtocolError):
    """Raised when an artifact can't be had: the peer has lost it, it is over the size limit, or the session ended."""


class ArtifactCorrupt(ArtifactError):
    """Raised when received bytes do not have the digest or the size that their artifact was announced with."""
