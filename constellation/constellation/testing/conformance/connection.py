"""One connection of the device under test: frames in and out, each checked, timed and written down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from constellation_protocol.codec import Frame, decode
from constellation_protocol.errors import RemoteProtocolError, TransportClosed
from constellation_protocol.messages import MAX_FRAME_BYTES, Hello, ProtocolFault
from constellation_protocol.transport import Transport

from .errors import CheckFailed

SHOWN_CHARS = 400
"""How much of a frame a report shows."""

SHOWN_FRAMES = 40
"""How many of the last frames of a check a report shows."""


class FrameLog:
    """The last frames of a check, as a report shows them; tokens are left out."""

    def __init__(self, *, token: str) -> None:
        self._token = token
        self._lines: deque[str] = deque(maxlen=SHOWN_FRAMES)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, oldest first."""
        return tuple(self._lines)

    def note(self, text: str) -> None:
        """Write down what happened to the connection."""
        self._lines.append(text)

    def frame(self, sender: str, frame: str | bytes) -> None:
        """Write down a frame."""
        text = frame if isinstance(frame, str) else f"binary frame of {len(frame)} bytes: {frame[:50].hex()}…"
        text = text.replace(self._token, "(token)")
        self.note(f"{sender}: {text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + '…'}")


class Connection:
    """A connection that the device has dialled.

    Attributes:
        patience_s: How long to wait for what the device has to do, in seconds.
        release: Gives the transport up.
    """

    def __init__(self, transport: Transport, log: FrameLog, patience_s: float, release: Callable[[], None]) -> None:
        """Take over a connection.

        Args:
            transport: What carries the frames.
            log: Where they are written down.
            patience_s: How long to wait for a frame, in seconds.
            release: Called once nobody needs the transport any more; it is then aborted.
        """
        self._transport = transport
        self._log = log
        self.patience_s = patience_s
        self.release = release

    async def send(self, frame: str | bytes) -> None:
        """Send a frame as it is; one that the device no longer takes is lost."""
        self._log.frame("kit", frame)
        try:
            await self._transport.send(frame)
        except TransportClosed as error:
            self._log.note(f"the frame could not be sent: {error}")

    async def receive_raw(self, expected: str) -> str | bytes:
        """Wait for the next frame.

        Raises:
            CheckFailed: none came in time; `expected` says what was waited for.
            TransportClosed: the device closed the connection.
        """
        try:
            with anyio.fail_after(self.patience_s):
                frame = await self._transport.receive()
        except TimeoutError:
            raise CheckFailed(f"nothing came for {self.patience_s:g} s while the kit waited for {expected}") from None
        except TransportClosed as closed:
            self._log.note(f"the device closed the connection: {closed}")
            raise
        self._log.frame("device", frame)
        return frame

    async def receive(self, expected: str) -> Frame:
        """Wait for the next frame and decode it.

        Raises:
            CheckFailed: none came in time, or it is none of the protocol.
            TransportClosed: the device closed the connection.
        """
        return decoded(await self.receive_raw(expected))

    async def hello(self) -> Hello:
        """Wait for the first frame, which must be one hello.

        Raises:
            CheckFailed: it is not.
        """
        try:
            frame = await self.receive("the hello")
        except TransportClosed as closed:
            raise CheckFailed(f"the connection was closed before the hello: {closed}") from None
        if len(frame.messages) != 1 or not isinstance(frame.messages[0], Hello):
            raise CheckFailed("the first frame of a connection must hold one 'hello' and nothing else")
        return frame.messages[0]

    async def until_closed(self, expected: str) -> list[Frame]:
        """Wait until the device closes the connection, and return the frames that came before.

        Raises:
            CheckFailed: it stays open.
        """
        frames: list[Frame] = []
        with anyio.move_on_after(self.patience_s):
            while True:
                try:
                    frames.append(await self.receive(expected))
                except TransportClosed:
                    return frames
        raise CheckFailed(f"the connection was still open after {self.patience_s:g} s; {expected}")

    async def fault(self, code: str, *, too_big: bool = False) -> None:
        """Wait for the `error` of this code and for the end of the connection.

        Args:
            code: The code that the guide names for what the kit did.
            too_big: Whether closing with WebSocket code 1009, and no `error`, is as good.

        Raises:
            CheckFailed: the device answers otherwise.
        """
        expected = f"an 'error' with the code {code!r}, and the end of the connection"
        frames = await self.until_closed(f"expected {expected}")
        faults = [message for frame in frames for message in frame.messages if isinstance(message, ProtocolFault)]
        if faults and faults[0].code != code:
            raise CheckFailed(f"expected {expected}; the device sent the code {faults[0].code!r}")
        if not faults and not (too_big and "1009" in self._log.lines[-1]):
            raise CheckFailed(f"expected {expected}; the connection was closed without an 'error'")

    def cut(self) -> None:
        """Drop the connection, as a broken network does."""
        self._log.note("the kit cut the connection")
        self._transport.abort()
        self.release()

    async def close(self) -> None:
        """Close in good order."""
        await self._transport.aclose()
        self.release()


def decoded(frame: str | bytes) -> Frame:
    """Decode a frame of the device.

    Raises:
        CheckFailed: it is not one.
    """
    try:
        return decode(frame, limit=MAX_FRAME_BYTES)
    except RemoteProtocolError as error:
        raise CheckFailed(f"the device sent what is no frame of the protocol: {error}") from None
