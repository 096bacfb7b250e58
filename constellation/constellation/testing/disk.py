"""A disk with one append-only file, which loses at a crash what had not been synced, wholly or from some byte on.

Each thing that is written is framed by its length and a checksum, so that a torn one at the end is recognised and
dropped when the file is read again: what a write-ahead log does.

    length u32 | crc32 u32 | payload                (big-endian)
"""

from __future__ import annotations

import struct
import zlib

_HEADER = struct.Struct(">II")


class SimulatedDisk:
    """Bytes that survive a crash as far as they were synced."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._synced = 0

    @property
    def unsynced(self) -> int:
        """How many bytes a crash may take."""
        return len(self._data) - self._synced

    def write(self, payload: bytes) -> None:
        """Append a frame; durable after the next `sync` only."""
        self._data += _HEADER.pack(len(payload), zlib.crc32(payload)) + payload

    def sync(self) -> None:
        """Make everything that was written durable."""
        self._synced = len(self._data)

    def crash(self, keep: int) -> None:
        """Lose what was not synced, but for its first `keep` bytes."""
        del self._data[self._synced + min(keep, self.unsynced) :]

    def read(self) -> list[bytes]:
        """The payloads of all whole frames; what follows them is cut off, and what is left counts as durable."""
        found = []
        place = 0
        while place + _HEADER.size <= len(self._data):
            length, crc = _HEADER.unpack_from(self._data, place)
            payload = bytes(self._data[place + _HEADER.size : place + _HEADER.size + length])
            if len(payload) < length or zlib.crc32(payload) != crc:
                break
            found.append(payload)
            place += _HEADER.size + length
        del self._data[place:]
        self._synced = place
        return found
