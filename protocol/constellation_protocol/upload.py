"""Files on their way out: one piece of each in turn, and no further than the receiver has asked for."""

from __future__ import annotations

from collections import deque

import anyio

from .artifacts import ArtifactStore
from .codec import FRAME_OVERHEAD, MAX_CHUNK_BYTES
from .download import MAX_TRANSFERS, WINDOW_BYTES
from .errors import ArtifactError
from .link import Link
from .messages import ArtifactChunk, ArtifactDone


class _Upload:
    """A file that the peer has asked for."""

    __slots__ = ("asked", "offset", "queued", "size")

    def __init__(self, offset: int) -> None:
        self.asked = offset
        self.offset = offset
        self.size: int | None = None
        self.queued = False

    @property
    def sendable(self) -> bool:
        """Whether the receiver has asked for more than was sent; unknown, thus true, until the size is known."""
        return self.size is None or self.asked == self.size or self.offset < min(self.size, self.asked + WINDOW_BYTES)


class Uploads:
    """All files that the peer of one link fetches from this side."""

    def __init__(self, link: Link, store: ArtifactStore) -> None:
        self._link = link
        self._store = store
        self._piece_bytes = min(MAX_CHUNK_BYTES, link.welcome.limits.max_frame_bytes - 2 * FRAME_OVERHEAD)
        self._uploads: dict[str, _Upload] = {}
        self._queue: deque[str] = deque()

    @property
    def ready(self) -> bool:
        """Whether there is a piece to send."""
        return bool(self._queue)

    def request(self, sha256: str, offset: int) -> bool:
        """Take note that the peer wants a file from this offset on; returns False when it wants too many."""
        upload = self._uploads.get(sha256)
        if upload is None:
            if len(self._uploads) >= MAX_TRANSFERS:
                return False
            upload = self._uploads[sha256] = _Upload(offset)
        elif offset < upload.asked:
            upload.offset = offset  # the receiver starts over
        upload.asked = offset
        self._enqueue(sha256, upload)
        return True

    def cancel(self, sha256: str) -> bool:
        """Send no more of a file; returns whether all of it was sent, and the receiver could not take it."""
        upload = self._uploads.pop(sha256, None)
        return upload is not None and upload.offset == upload.size

    async def send_piece(self) -> str | None:
        """Send the next piece of the file whose turn it is; returns its digest when the peer says that it has it."""
        sha256 = self._queue.popleft()
        upload = self._uploads.get(sha256)
        if upload is None:
            return None
        upload.queued = False
        try:
            if upload.size is None:
                upload.size = await anyio.to_thread.run_sync(self._size, sha256)
            if upload.asked >= upload.size:
                self.cancel(sha256)
                return sha256
            if not upload.sendable:
                return None  # the request crossed with the last pieces
            offset = upload.offset
            room = min(self._piece_bytes, upload.asked + WINDOW_BYTES - offset)
            data = await anyio.to_thread.run_sync(self._store.read, sha256, offset, room)
        except (ArtifactError, OSError):
            self.cancel(sha256)
            await self._link.send(ArtifactDone(sha256=sha256, error="it is not here"))
            return None
        if upload.offset == offset and self._uploads.get(sha256) is upload:
            upload.offset += len(data)
            await self._link.send(ArtifactChunk(sha256=sha256, offset=offset, data=data))
            if upload.offset == upload.size:
                await self._link.send(ArtifactDone(sha256=sha256))
        if upload.sendable and self._uploads.get(sha256) is upload:
            self._enqueue(sha256, upload)
        return None

    def _size(self, sha256: str) -> int:
        return self._store.path(sha256).stat().st_size

    def _enqueue(self, sha256: str, upload: _Upload) -> None:
        if not upload.queued:
            upload.queued = True
            self._queue.append(sha256)
