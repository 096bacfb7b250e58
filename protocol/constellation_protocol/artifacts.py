"""Files kept by their content: each is named by the SHA-256 of its bytes, so one can be neither forged nor overwritten.

    <root>/ab/abcdef…        a whole file, verified and read-only
    <root>/partial/abcdef…   the beginning of one that is still coming, kept so that it can be resumed
    <root>/partial/….tmp     one that is being put in

A digest is checked before it becomes part of a path, and no name that came from outside ever does. One process
uses a root at a time; another may remove what is unused meanwhile (`stored.py`). All methods block on the disk: from
an event loop, call them in a thread.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
from pathlib import Path
from typing import BinaryIO

from .errors import ArtifactCorrupt, ArtifactError
from .messages import ArtifactInfo, Limits
from .stored import DIGEST, PARTIAL

_COPY_BYTES = 1024 * 1024


class ArtifactStore:
    """A directory of artifacts."""

    def __init__(self, root: Path, *, max_bytes: int | None = None, reserve_bytes: int = 0) -> None:
        """Open the store, making its directory when it is not there.

        Args:
            root: The directory; what an earlier process left half put in is removed from it.
            max_bytes: The size of the largest file it takes; the protocol's default limit when None.
            reserve_bytes: How much of its disk stays free: files from elsewhere that would leave less do not begin.
        """
        self.root = root
        self.max_bytes = Limits().max_artifact_bytes if max_bytes is None else max_bytes
        self.reserve_bytes = reserve_bytes
        self._partial = root / PARTIAL
        self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._coming: set[str] = set()
        self._doubted: dict[str, threading.Event] = {}
        for leftover in self._partial.glob("*.tmp"):
            leftover.unlink()

    def has(self, sha256: str) -> bool:
        """Whether the whole file is here."""
        return self._place(sha256).is_file()

    def use(self, sha256: str) -> bool:
        """Whether the whole file is here; if so, note that it is used now, so that nobody removes it as unused.

        Of a file that is being read again because somebody doubts it (`check`), that is said only after that.
        """
        place = self._place(sha256)
        doubt = self._doubted.get(sha256)
        if doubt is not None:
            doubt.wait()
        try:
            os.utime(place)
        except FileNotFoundError:
            return False
        return True

    def path(self, sha256: str) -> Path:
        """Return where the file is; it is read-only.

        Raises:
            ArtifactError: it is not here.
        """
        place = self._place(sha256)
        if not place.is_file():
            raise ArtifactError(f"artifact {sha256[:12]}… is not here: fetch it from its origin first")
        return place

    def put_bytes(self, data: bytes, *, name: str = "", media_type: str = "application/octet-stream") -> ArtifactInfo:
        """Keep these bytes.

        Raises:
            ArtifactError: they are over the size limit.
        """
        with self._fresh() as incoming:
            incoming.write(data)
            return incoming.keep(name, media_type)

    def put_file(
        self, source: Path, *, name: str | None = None, media_type: str = "application/octet-stream"
    ) -> ArtifactInfo:
        """Keep a copy of a file, under its own name unless another is given.

        Raises:
            ArtifactError: it is over the size limit.
            OSError: it can't be read.
        """
        with source.open("rb") as file, self._fresh() as incoming:
            while data := file.read(_COPY_BYTES):
                incoming.write(data)
            return incoming.keep(source.name if name is None else name, media_type)

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """Read up to `size` bytes of a file from `offset`.

        Raises:
            ArtifactError: it is not here.
        """
        with self.path(sha256).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def check(self, sha256: str) -> bool:
        """Read a file and see that it is still what it was; one that is not is removed, so that it can come anew.

        Raises:
            ArtifactError: it is not here.
        """
        place = self.path(sha256)
        doubt = self._doubted.setdefault(sha256, threading.Event())
        try:
            with place.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
                if not whole and _is_at(place, file):  # by now a good one may have come in its place
                    place.unlink(missing_ok=True)
            return whole
        finally:
            self._doubted.pop(sha256, None)
            doubt.set()

    def begin(self, info: ArtifactInfo) -> PartialArtifact:
        """Begin to receive a file, or go on where an earlier try stopped.

        Raises:
            ArtifactError: it is over the size limit, or the disk has no room for it.
        """
        if info.size > self.max_bytes:
            raise ArtifactError(f"an artifact of {info.size} bytes is over the limit of {self.max_bytes} bytes")
        if self.reserve_bytes and shutil.disk_usage(self.root).free < info.size + self.reserve_bytes:
            raise ArtifactError(
                f"an artifact of {info.size} bytes would leave less than {self.reserve_bytes} bytes free on the disk "
                f"of {self.root}: make room there"
            )
        self._place(info.sha256)
        if info.sha256 in self._coming:
            # The same file comes from someone else at this moment; this try is on its own, and is not resumed.
            return self._fresh(expected=info)
        coming = PartialArtifact(self, self._partial / info.sha256, expected=info)
        self._coming.add(info.sha256)
        return coming

    def _fresh(self, *, expected: ArtifactInfo | None = None) -> PartialArtifact:
        return PartialArtifact(self, self._partial / f"{secrets.token_hex(16)}.tmp", expected=expected)

    def _place(self, sha256: str) -> Path:
        if DIGEST.fullmatch(sha256) is None:
            raise ArtifactError("an artifact is named by 64 lower-case hexadecimal digits, and this is none")
        return self.root / sha256[:2] / sha256


class PartialArtifact:
    """A file that is coming in, hashed as it is written; invisible until it is whole and verified.

    A context manager: leaving it is `close`.
    """

    def __init__(self, store: ArtifactStore, path: Path, *, expected: ArtifactInfo | None) -> None:
        self._store = store
        self._path = path
        self._expected = expected
        self._limit = store.max_bytes if expected is None else expected.size
        self._hash = hashlib.sha256()
        self.offset = 0
        self._file: BinaryIO = path.open("a+b")
        self._read_back()
        self.resumed = self.offset > 0

    def __enter__(self) -> PartialArtifact:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read_back(self) -> None:
        self._file.seek(0)
        while data := self._file.read(_COPY_BYTES):
            self._hash.update(data)
            self.offset += len(data)
        if self.offset > self._limit:
            self.restart()

    def restart(self) -> None:
        """Forget what has come so far."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.offset = 0
        self.resumed = False

    def write(self, data: bytes) -> None:
        """Append what comes next.

        Raises:
            ArtifactError: the file gets longer than announced, or than the limit.
        """
        if self.offset + len(data) > self._limit:
            raise ArtifactError(f"more than the {self._limit} bytes come that the artifact may have")
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def keep(self, name: str = "", media_type: str = "application/octet-stream") -> ArtifactInfo:
        """Verify what has come, make it visible and close.

        Raises:
            ArtifactCorrupt: it is not what was announced.
        """
        digest = self._hash.hexdigest()
        expected = self._expected
        if expected is not None and (digest, self.offset) != (expected.sha256, expected.size):
            raise ArtifactCorrupt(
                f"artifact {expected.sha256[:12]}… came with {self.offset} of {expected.size} bytes "
                f"and the digest {digest[:12]}…"
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        os.fchmod(self._file.fileno(), 0o444)
        place = self._store._place(digest)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        self._path.replace(place)
        size = self.offset
        self.close()
        return ArtifactInfo(sha256=digest, size=size, name=name, media_type=media_type)

    def discard(self) -> None:
        """Throw away what has come."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Stop; what has come of an announced file stays for a later try."""
        if self._file.closed:
            return
        self._file.close()
        if self._path.suffix == ".tmp":
            self._path.unlink(missing_ok=True)
        elif self._expected is not None:
            self._store._coming.discard(self._expected.sha256)


def _is_at(place: Path, file: BinaryIO) -> bool:
    """Whether an open file is the one that is found at a place."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.stat())
    except FileNotFoundError:
        return False
