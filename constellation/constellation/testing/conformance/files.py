"""The orchestrator's side of a file's transfer, as a check plays it: what it asks for, and what it sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from constellation_protocol.codec import MAX_CHUNK_BYTES
from constellation_protocol.download import WINDOW_BYTES
from constellation_protocol.messages import ArtifactChunk, ArtifactDone, ArtifactInfo, ArtifactRequest

from .errors import CheckFailed
from .peer import Peer

PATTERN_PERIOD = 251
"""A prime, so that pieces of a file that change places don't go unnoticed."""


def pattern(size: int) -> bytes:
    """The bytes of the file that the tool `make_file` makes: byte number i is i modulo 251."""
    return (bytes(range(PATTERN_PERIOD)) * (size // PATTERN_PERIOD + 1))[:size]


def reference(info: ArtifactInfo) -> dict[str, Any]:
    """How arguments refer to a file."""
    return {"$artifact": info.sha256, "size": info.size, "name": info.name, "media_type": info.media_type}


async def ask(peer: Peer, info: ArtifactInfo, offset: int) -> None:
    """Ask for a file from an offset on; the offset of its size confirms that it is here."""
    await peer.send(ArtifactRequest(sha256=info.sha256, offset=offset))


async def fetch(peer: Peer, info: ArtifactInfo, *, offset: int = 0) -> bytes:
    """Fetch a file from an offset on, window by window, until the device says that this was all.

    Raises:
        CheckFailed: pieces come out of order, unasked, or not at all.
    """
    data = await _collect(peer, info, offset, info.size)
    done = await peer.until(
        lambda: next((d for d in peer.of(ArtifactDone) if d.sha256 == info.sha256), None), "'artifact_done'"
    )
    peer.forget(done)
    if done.error is not None:
        raise CheckFailed(f"the device called the transfer off: {done.error}")
    return data


async def fetch_window(peer: Peer, info: ArtifactInfo) -> bytes:
    """Fetch what one request for the start of a file allows."""
    return await _collect(peer, info, 0, min(WINDOW_BYTES, info.size))


async def _collect(peer: Peer, info: ArtifactInfo, offset: int, end: int) -> bytes:
    data = bytearray()
    asked = offset
    await ask(peer, info, asked)
    while (position := offset + len(data)) < end:
        if position - asked >= WINDOW_BYTES // 2 and end == info.size:
            asked = position
            await ask(peer, info, asked)
        piece = await peer.until(lambda: next(iter(pieces(peer, info)), None), "a piece of the file")
        peer.forget(piece)
        if piece.offset != position:
            raise CheckFailed(f"a piece came for the offset {piece.offset}; the next is at {position}")
        if not 0 < len(piece.data) <= MAX_CHUNK_BYTES:
            raise CheckFailed(f"a piece has {len(piece.data)} bytes; 1 to {MAX_CHUNK_BYTES} are allowed")
        if position + len(piece.data) > asked + WINDOW_BYTES:
            raise CheckFailed(f"a piece goes up to {position + len(piece.data)}, a window beyond {asked} was asked for")
        data += piece.data
    return bytes(data)


def pieces(peer: Peer, info: ArtifactInfo) -> list[ArtifactChunk]:
    """The pieces of a file that have come and were not taken."""
    return [piece for piece in peer.of(ArtifactChunk) if piece.sha256 == info.sha256]


async def serve(
    peer: Peer, info: ArtifactInfo, content: bytes, *, given_up: Callable[[], bool] = lambda: False
) -> None:
    """Send a file as the device asks for it, until the device confirms that it has the file, or has given it up.

    Raises:
        CheckFailed: the device asks for what is not there, or confirms what it can't have.
    """
    sent: int | None = None
    asked = 0
    while (request := await requested(peer, info, given_up)) is not None:
        asked, previously = request.offset, asked
        if asked > info.size:
            raise CheckFailed(f"the device asks for offset {asked} of a file of {info.size} bytes")
        if asked == info.size:
            if sent != info.size and info.size > 0:
                raise CheckFailed("the device confirms a file that was not sent to the end")
            return
        if sent is None or asked < previously:
            sent = asked
        until = min(asked + WINDOW_BYTES, len(content))
        while sent < until:
            piece = content[sent : min(sent + MAX_CHUNK_BYTES, until)]
            await peer.send(ArtifactChunk(sha256=info.sha256, offset=sent, data=piece))
            sent += len(piece)
            if sent == len(content):
                await peer.send(ArtifactDone(sha256=info.sha256))


async def requested(
    peer: Peer, info: ArtifactInfo, given_up: Callable[[], bool] = lambda: False
) -> ArtifactRequest | None:
    """Wait until the device asks for a file, and take the request; None when it has given the file up.

    Raises:
        CheckFailed: it does neither.
    """
    while not given_up():
        waiting = [request for request in peer.of(ArtifactRequest) if request.sha256 == info.sha256]
        if waiting:
            peer.forget(waiting[0])
            return waiting[0]
        await peer.step(f"a request for the file {info.sha256[:12]}…")
    return None
