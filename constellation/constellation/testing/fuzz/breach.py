"""What the fuzzer has found, and the rules that every target shares: which errors may be told to a peer, and how."""

from __future__ import annotations

from constellation_protocol.errors import FrameTooLarge, RemoteProtocolError

CODES = frozenset(
    {
        "malformed-frame",
        "version",
        "unknown-kind",
        "invalid-message",
        "frame-too-large",
        "handshake",
        "sequence",
        "credits",
        "direction",
        "artifact",
    }
)
"""The codes of errors that the protocol's document lists."""

MAX_ERROR_CHARS = 500
"""How long the message of an error may be, whatever it is about."""


class Breach(Exception):
    """Raised when an input does what none may: the code under test fails, hangs, holds too much or says nothing."""


def check_error(error: RemoteProtocolError) -> None:
    """See that an error may be told to a peer and to a terminal as it is.

    Raises:
        Breach: it has a code that nobody knows, is too long, or repeats what would act on a terminal.
    """
    if error.code not in CODES:
        raise Breach(f"the error has the code {error.code!r}, which no document lists")
    if isinstance(error, FrameTooLarge) and error.code != "frame-too-large":
        raise Breach(f"a frame that is too long is told as {error.code!r}")
    if len(error.message) > MAX_ERROR_CHARS:
        raise Breach(f"the error has {len(error.message)} characters: {error.message[:100]!r}…")
    if not error.message.isprintable():
        raise Breach(f"the error would act on a terminal: {error.message!r}")
