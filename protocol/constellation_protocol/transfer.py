"""Files over a link, in pieces that are asked for, so that neither side ever holds a whole file in memory.

The side that wants a file sends a request with the offset it has got to; that lets the holder send up to
`WINDOW_BYTES` beyond this offset. The receiver asks again each time it has written half a window, and once more
with the offset equal to the size when the file is whole, verified and stored: the holder of an offered file waits
for that. `ArtifactDone` follows the last piece; with an error it calls the transfer off, from either side.

`handle` only takes note and never waits, so it may be called from the loop that receives from the link; the disk
and the link are waited for in `run`, which must not be that loop.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio

from .artifacts import ArtifactStore
from .download import ACTIVE_DOWNLOADS, MAX_TRANSFERS, Download, Outcome
from .errors import ArtifactCorrupt, ArtifactError, LinkClosed, RemoteProtocolError
from .link import Link
from .messages import ArtifactChunk, ArtifactDone, ArtifactInfo, ArtifactOffer, ArtifactRequest
from .signal import Signal
from .upload import Uploads

ArtifactMessage = ArtifactOffer | ArtifactRequest | ArtifactChunk | ArtifactDone
ARTIFACT_MESSAGES = (ArtifactOffer, ArtifactRequest, ArtifactChunk, ArtifactDone)
"""What `ArtifactTransfers.handle` takes, for `isinstance`."""

_MAX_JOBS = 4 * MAX_TRANSFERS
_run_in_thread = anyio.to_thread.run_sync
_log = logging.getLogger(__name__)


class ArtifactTransfers:
    """All transfers over one link, in both directions; files come from one store and go to it."""

    def __init__(self, link: Link, store: ArtifactStore) -> None:
        limits = link.welcome.limits
        self._link = link
        self._store = store
        self._max_bytes = min(store.max_bytes, limits.max_artifact_bytes)
        self._uploads = Uploads(link, store)
        self._downloads: dict[str, Download] = {}
        self._waiting: deque[Download] = deque()
        self._active = 0
        self._offers: dict[str, Outcome] = {}
        self._jobs: deque[Callable[[], Awaitable[None]]] = deque()
        self._work = Signal()
        self._closed: str | None = None

    # --- what the owner calls ------------------------------------------------------------------------------------

    async def want(self, info: ArtifactInfo) -> Path:
        """Wait until the file is here, fetching it from the peer where it is not, and return its path.

        Raises:
            ArtifactError: it can't be had; an `ArtifactCorrupt` where other bytes came than were announced.
        """
        if not await _run_in_thread(self._store.has, info.sha256):
            await self._download(info).outcome.wait()
        return self._store.path(info.sha256)

    async def offer(self, info: ArtifactInfo) -> None:
        """Offer a file of the store to the peer, and wait until the peer has it.

        Raises:
            ArtifactError: the peer declined it, or the session has ended.
        """
        outcome = self._offers.get(info.sha256)
        if outcome is None:
            self._check_open()
            outcome = self._offers[info.sha256] = Outcome()
            self._post(partial(self._link.send, ArtifactOffer(artifact=info)))
        await outcome.wait()

    def handle(self, message: ArtifactMessage) -> None:
        """Take note of a message of the peer about artifacts.

        Raises:
            RemoteProtocolError: the peer floods this side with requests: close the link.
        """
        if self._closed is not None:
            return
        if len(self._jobs) >= _MAX_JOBS:
            raise RemoteProtocolError("artifact", f"more than {_MAX_JOBS} requests about artifacts are waiting")
        match message:
            case ArtifactOffer():
                self._offered(message.artifact)
            case ArtifactRequest():
                if not self._uploads.request(message.sha256, message.offset):
                    self._post(partial(self._call_off, message.sha256, "too many transfers at once"))
            case ArtifactChunk():
                self._came(message)
            case ArtifactDone():
                self._done(message)
        self._work.notify()

    async def run(self) -> None:
        """Do the work of the transfers until the link has ended; then whoever still waits gets an `ArtifactError`."""
        try:
            while True:
                if self._jobs:
                    await self._jobs.popleft()()
                elif self._uploads.ready:
                    finished = await self._uploads.send_piece()
                    if finished is not None and finished in self._offers:
                        self._offers.pop(finished).settle()
                else:
                    await self._work.wait()
        except LinkClosed as error:
            self._closed = str(error)
        finally:
            self._abandon(self._closed or "the transfers were stopped")

    # --- receiving -----------------------------------------------------------------------------------------------

    def _offered(self, info: ArtifactInfo) -> None:
        if info.sha256 in self._downloads:
            return
        if info.size > self._max_bytes or len(self._downloads) >= MAX_TRANSFERS:
            reason = "it is over the size limit" if info.size > self._max_bytes else "too many transfers at once"
            self._post(partial(self._call_off, info.sha256, reason))
        else:
            self._download(info)

    def _download(self, info: ArtifactInfo) -> Download:
        download = self._downloads.get(info.sha256)
        if download is None:
            self._check_open()
            if info.size > self._max_bytes:
                raise ArtifactError(f"an artifact of {info.size} bytes is over the limit of {self._max_bytes} bytes")
            download = self._downloads[info.sha256] = Download(info)
            self._waiting.append(download)
            self._start_waiting()
        return download

    def _start_waiting(self) -> None:
        while self._waiting and self._active < ACTIVE_DOWNLOADS:
            self._active += 1
            self._post(partial(self._start, self._waiting.popleft()))

    async def _start(self, download: Download) -> None:
        try:
            here = await _run_in_thread(download.begin, self._store)
        except (ArtifactError, OSError) as error:
            await self._fail(download, error)
            return
        if here:
            await self._finish(download)
        else:
            await self._ask(download)

    async def _ask(self, download: Download) -> None:
        await self._link.send(ArtifactRequest(sha256=download.info.sha256, offset=download.ask()))

    def _came(self, chunk: ArtifactChunk) -> None:
        download = self._downloads.get(chunk.sha256)
        if download is None or not download.asked:
            return
        try:
            download.expect(chunk)
        except ArtifactError as error:
            self._post(partial(self._fail, download, error))
        else:
            self._post(partial(self._write, download, chunk.data))

    async def _write(self, download: Download, data: bytes) -> None:
        if self._downloads.get(download.info.sha256) is not download:
            return
        try:
            await _run_in_thread(download.write, data)
        except (ArtifactError, OSError) as error:
            await self._fail(download, error)
            return
        if download.hungry:
            await self._ask(download)

    async def _finish(self, download: Download) -> None:
        if self._downloads.get(download.info.sha256) is not download:
            return
        try:
            await _run_in_thread(download.keep)
        except ArtifactCorrupt as error:
            if not download.resumed:
                await self._fail(download, error)
                return
            # What an earlier try left may be at fault: once more, from the beginning.
            download.restart()
            await self._ask(download)
            return
        except OSError as error:
            await self._fail(download, error)
            return
        self._settle(download)
        await self._link.send(ArtifactRequest(sha256=download.info.sha256, offset=download.info.size))

    async def _fail(self, download: Download, error: Exception) -> None:
        if self._downloads.get(download.info.sha256) is not download:
            return
        _log.warning("artifact %s… could not be taken: %s", download.info.sha256[:12], error)
        await _run_in_thread(download.discard)
        self._settle(download, error)
        # The reason is this machine's own business: it may name its paths.
        await self._call_off(download.info.sha256, "the receiver could not store it")

    def _settle(self, download: Download, error: Exception | None = None) -> None:
        del self._downloads[download.info.sha256]
        self._active -= 1
        download.outcome.settle(error)
        self._start_waiting()

    async def _called_off(self, download: Download, reason: str) -> None:
        """The peer can't send the file; what has come of it is kept for a later try."""
        if self._downloads.get(download.info.sha256) is download:
            download.close()
            self._settle(
                download, ArtifactError(f"the peer can't send artifact {download.info.sha256[:12]}…: {reason}")
            )

    def _done(self, message: ArtifactDone) -> None:
        sha256, error = message.sha256, message.error
        download = self._downloads.get(sha256)
        if download is not None:
            self._post(partial(self._finish, download) if error is None else partial(self._called_off, download, error))
        elif error is not None:
            if self._uploads.cancel(sha256):
                self._post(partial(self._check, sha256))
            if sha256 in self._offers:
                self._offers.pop(sha256).settle(ArtifactError(f"the peer declined artifact {sha256[:12]}…: {error}"))

    async def _check(self, sha256: str) -> None:
        """The peer could not take a file that was sent whole: if it has gone bad on this disk, it goes."""
        try:
            await _run_in_thread(self._store.check, sha256)
        except (ArtifactError, OSError) as error:
            _log.warning("artifact %s… could not be checked: %s", sha256[:12], error)

    # --- both ----------------------------------------------------------------------------------------------------

    async def _call_off(self, sha256: str, reason: str) -> None:
        await self._link.send(ArtifactDone(sha256=sha256, error=reason))

    def _post(self, job: Callable[[], Awaitable[None]]) -> None:
        self._jobs.append(job)
        self._work.notify()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ArtifactError(f"no artifacts can be transferred any more: {self._closed}")

    def _abandon(self, reason: str) -> None:
        self._closed = reason
        for download in self._downloads.values():
            download.close()
            download.outcome.settle(ArtifactError(f"the transfer was interrupted: {reason}"))
        for outcome in self._offers.values():
            outcome.settle(ArtifactError(f"the transfer was interrupted: {reason}"))
        self._downloads.clear()
        self._offers.clear()
