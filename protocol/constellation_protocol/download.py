"""One file on its way in: what was asked for, what may come next, and who waits for it."""

from __future__ import annotations

import anyio

from .artifacts import ArtifactStore, PartialArtifact
from .errors import ArtifactError
from .messages import ArtifactChunk, ArtifactInfo

WINDOW_BYTES = 2 * 1024 * 1024
"""How much of one file may be on the way."""

ACTIVE_DOWNLOADS = 8
"""How many files come in at once over one link; with the window this bounds what waits for the disk."""

MAX_TRANSFERS = 1024
"""How many files may be under way or waiting in each direction over one link."""


class Outcome:
    """How a transfer ended, for everybody who waits for it."""

    def __init__(self) -> None:
        self._ended = anyio.Event()
        self._error: Exception | None = None

    def settle(self, error: Exception | None = None) -> None:
        """Let everybody go on, with this error if there is one."""
        self._error = error
        self._ended.set()

    async def wait(self) -> None:
        """Wait for the end.

        Raises:
            ArtifactError: it ended without success.
        """
        await self._ended.wait()
        if self._error is None:
            return
        # Each waiter gets an error of its own: one object raised in several tasks mixes up their tracebacks.
        kind = type(self._error) if isinstance(self._error, ArtifactError) else ArtifactError
        raise kind(str(self._error)) from self._error


class Download:
    """A file that this side wants."""

    def __init__(self, info: ArtifactInfo) -> None:
        self.info = info
        self.outcome = Outcome()
        self._partial: PartialArtifact | None = None
        self._asked: int | None = None
        self._expected = 0

    @property
    def partial(self) -> PartialArtifact:
        """Where it is written to."""
        assert self._partial is not None, "a download is used only after its beginning"
        return self._partial

    @property
    def resumed(self) -> bool:
        """Whether it goes on from what an earlier try left."""
        return self.partial.resumed

    def begin(self, store: ArtifactStore) -> bool:
        """Open it in the store; returns whether nothing of it is missing."""
        if store.use(self.info.sha256):
            return True
        self._partial = store.begin(self.info)
        self._expected = self._partial.offset
        return self._partial.offset == self.info.size

    def ask(self) -> int:
        """Return the offset to ask for now, which allows the holder to send a window beyond it."""
        self._asked = self.partial.offset
        return self._asked

    @property
    def asked(self) -> bool:
        """Whether pieces are expected; those that come otherwise belong to a transfer that was called off."""
        return self._asked is not None

    @property
    def hungry(self) -> bool:
        """Whether enough has been written since the last request for another."""
        offset = self.partial.offset
        return self._asked is not None and offset < self.info.size and offset - self._asked >= WINDOW_BYTES // 2

    def expect(self, chunk: ArtifactChunk) -> None:
        """Check that this piece is the next one and was asked for; when it is not, no other is taken either.

        Raises:
            ArtifactError: it is not.
        """
        end = chunk.offset + len(chunk.data)
        asked, self._asked = self._asked, None
        if chunk.offset != self._expected or not chunk.data:
            raise ArtifactError(
                f"a piece of artifact {chunk.sha256[:12]}… came for offset {chunk.offset} instead of {self._expected}"
            )
        if asked is None or end > min(self.info.size, asked + WINDOW_BYTES):
            raise ArtifactError(f"more of artifact {chunk.sha256[:12]}… came than was asked for")
        self._asked, self._expected = asked, end

    def write(self, data: bytes) -> None:
        """Write the next piece."""
        self.partial.write(data)

    def keep(self) -> None:
        """Verify the file and make it visible, unless it was here before."""
        if self._partial is not None:
            self._partial.keep()

    def restart(self) -> None:
        """Begin again with nothing."""
        self.partial.restart()
        self._expected = 0

    def discard(self) -> None:
        """Throw away what has come."""
        if self._partial is not None:
            self._partial.discard()

    def close(self) -> None:
        """Stop, and leave what has come for a later try."""
        if self._partial is not None:
            self._partial.close()
