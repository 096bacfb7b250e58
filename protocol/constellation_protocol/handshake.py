"""The opening of a connection as the orchestrator sees it, before any session is concerned."""

from __future__ import annotations

from .codec import decode, encode_text
from .errors import RemoteProtocolError
from .messages import Hello, ProtocolFault, Refuse
from .states import SUPPORTED_VERSIONS, negotiate

MAX_HELLO_BYTES = 1024 * 1024
"""How long a hello may be: whoever sends it has not been authenticated yet."""

MOST_NAMED = 10
"""How many of the versions that a device offers are repeated to it."""


def read_hello(data: str | bytes) -> Hello:
    """Read the first frame of a connection.

    Raises:
        RemoteProtocolError: it is anything but one hello.
    """
    frame = decode(data, limit=MAX_HELLO_BYTES)
    if len(frame.messages) != 1 or not isinstance(frame.messages[0], Hello):
        raise RemoteProtocolError("handshake", "the first frame of a connection must hold one 'hello' and nothing else")
    hello = frame.messages[0]
    if hello.session is None and hello.received:
        raise RemoteProtocolError("sequence", "a hello that resumes no session says that it has received messages")
    return hello


def version_refusal(hello: Hello) -> Refuse | None:
    """Return the refusal of a device that speaks no version of this side."""
    if negotiate(hello.versions) is not None:
        return None
    ours, theirs = (", ".join(map(str, versions)) for versions in (SUPPORTED_VERSIONS, hello.versions[:MOST_NAMED]))
    return Refuse(
        code="version", message=f"this orchestrator speaks version {ours} of AIP, the device {theirs or 'none'}"
    )


def write(message: Refuse | ProtocolFault) -> str:
    """Make the frame that ends a connection which never became a session's."""
    return encode_text([message.model_dump_json()])
