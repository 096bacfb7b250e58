"""Kinds of archives behind one face: members with a path, a kind and a size, and their content.

Sizes are added up as they are declared, and counted as they come. A compressed tar is unpacked into a temporary file
first, within the limits, so that what reads it never meets more than they allow.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, Literal, Protocol

from ..errors import ToolFailed

Kind = Literal["file", "directory", "link", "other"]
Add = Callable[[str, IO[bytes], os.stat_result], None]

_CHUNK_BYTES = 1024 * 1024
_SMALL_BYTES = 1024 * 1024
_MAX_TAR_HEADER_BYTES = 1024 * 1024
_ENDINGS = {
    ".zip": "zip", ".tar": "tar", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz2": "bz2",
    ".tar.xz": "xz", ".txz": "xz", ".tar.zst": "zst",
}  # fmt: skip
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may hold.

    Attributes:
        members: How many files and directories.
        total_bytes: The size of all files together, unpacked.
        ratio: How many times its packed size a member, or a whole compressed tar, may have; small ones may have more.
    """

    members: int = 10_000
    total_bytes: int = 1024**3
    ratio: int = 200


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive has under a name; the size is what the archive says."""

    path: str
    kind: Kind
    size: int
    source: Any


class ArchiveReader(Protocol):
    """An open archive."""

    def members(self) -> Iterator[Member]:
        """Its members, within the limits; raises ToolFailed where they go beyond."""
        ...

    def content(self, member: Member) -> IO[bytes]:
        """A file's content."""
        ...


def format_of(path: str) -> str:
    """Return the kind of an archive by the ending of its name.

    Raises:
        ToolFailed: it has none that is known here.
    """
    for ending, kind in _ENDINGS.items():
        if path.lower().endswith(ending):
            if kind == "zst" and _zstd() is None:
                raise ToolFailed("archives with Zstandard need Python 3.14 or newer on this device")
            return kind
    raise ToolFailed(f"{path!r} has no ending of an archive; there are {', '.join(_ENDINGS)}")


@contextmanager
def opened_archive(
    kind: str, file: IO[bytes], path: str, limits: ArchiveLimits, check: Callable[[], None]
) -> Iterator[ArchiveReader]:
    """Open an archive for reading.

    Raises:
        ToolFailed: it is damaged, encrypted, or holds more than the limits allow.
    """
    try:
        if kind == "zip":
            with zipfile.ZipFile(file) as zipped:
                yield _Zip(zipped, limits)
        elif kind == "tar":
            with tarfile.open(fileobj=file, mode="r:", tarinfo=_TarMember) as tar:
                yield _Tar(tar, limits)
        else:
            with tempfile.TemporaryFile() as unpacked:
                _decompress(kind, file, unpacked, limits, check)
                with tarfile.open(fileobj=unpacked, mode="r:", tarinfo=_TarMember) as tar:
                    yield _Tar(tar, limits)
    except _BROKEN as error:
        raise ToolFailed(f"{path!r} can't be read as {kind}: {error}") from error


@contextmanager
def opened_writer(kind: str, file: IO[bytes]) -> Iterator[Add]:
    """Start an archive and yield what adds a file to it."""
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:

            def add_to_zip(name: str, content: IO[bytes], status: os.stat_result) -> None:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (stat.S_IFREG | (status.st_mode & 0o777)) << 16
                with zipped.open(info, "w", force_zip64=True) as target:
                    while chunk := content.read(_CHUNK_BYTES):
                        target.write(chunk)

            yield add_to_zip
        return
    with _compressed(kind, file, "wb") as packed, tarfile.open(fileobj=packed, mode="w:") as tar:

        def add_to_tar(name: str, content: IO[bytes], status: os.stat_result) -> None:
            info = tarfile.TarInfo(name)  # without the owner's name, which is nobody's business elsewhere
            info.size, info.mtime, info.mode = status.st_size, status.st_mtime, status.st_mode & 0o777
            tar.addfile(info, content)

        yield add_to_tar


class _TarMember(tarfile.TarInfo):
    """A header that does not make the reader take a name of a gigabyte into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarMember:
        made = super().frombuf(buf, encoding, errors)
        is_header = made.type not in tarfile.SUPPORTED_TYPES or made.type in (b"x", b"g", b"X", b"L", b"K")
        if is_header and made.size > _MAX_TAR_HEADER_BYTES:
            raise ToolFailed("the archive has a header of more than a megabyte")
        return made


class _Tar:
    def __init__(self, tar: tarfile.TarFile, limits: ArchiveLimits) -> None:
        self._tar, self._count = tar, _Counter(limits)

    def members(self) -> Iterator[Member]:
        while (info := self._tar.next()) is not None:
            kind: Kind = "other"
            if info.isreg() and not info.issparse():
                kind = "file"
            elif info.isdir():
                kind = "directory"
            elif info.issym() or info.islnk():
                kind = "link"
            self._count.add(info.name, info.size, None)
            yield Member(info.name.rstrip("/"), kind, info.size if kind == "file" else 0, info)

    def content(self, member: Member) -> IO[bytes]:
        content = self._tar.extractfile(member.source)
        assert content is not None  # it is a regular file
        return content


class _Zip:
    def __init__(self, zipped: zipfile.ZipFile, limits: ArchiveLimits) -> None:
        self._zip, self._count = zipped, _Counter(limits)

    def members(self) -> Iterator[Member]:
        for info in self._zip.infolist():
            if info.flag_bits & 1:
                raise ToolFailed(f"the member {info.filename!r} is encrypted, which can't be read here")
            mode = info.external_attr >> 16
            kind: Kind = "directory" if info.is_dir() else "file"
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "link" if stat.S_ISLNK(mode) else "other"
            self._count.add(info.filename, info.file_size, info.compress_size)
            # The name as it is written: the library cuts it off at a NUL.
            yield Member(info.orig_filename.rstrip("/"), kind, info.file_size, info)

    def content(self, member: Member) -> IO[bytes]:
        return self._zip.open(member.source)


class _Counter:
    """Adds up what members say of themselves."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits, self._members, self._bytes, self._names = limits, 0, 0, set[str]()

    def add(self, name: str, size: int, packed: int | None) -> None:
        if size < 0:
            raise ToolFailed(f"the member {name!r} says that it has {size} bytes")
        self._members += 1
        self._bytes += size
        if self._members > self._limits.members:
            raise ToolFailed(f"the archive has more than {self._limits.members} members")
        if self._bytes > self._limits.total_bytes:
            raise ToolFailed(f"the archive unpacks to more than {self._limits.total_bytes} bytes")
        if packed is not None and size > _SMALL_BYTES and size > packed * self._limits.ratio:
            raise ToolFailed(f"the member {name!r} unpacks to more than {self._limits.ratio} times its size")
        if name.rstrip("/") in self._names:
            raise ToolFailed(f"the archive has two members named {name!r}")
        self._names.add(name.rstrip("/"))


def _decompress(
    kind: str, file: IO[bytes], unpacked: IO[bytes], limits: ArchiveLimits, check: Callable[[], None]
) -> None:
    packed = os.fstat(file.fileno()).st_size
    # A tar has half a kilobyte of header for each member, and as much of padding at most.
    most = limits.total_bytes + limits.members * 2048
    total = 0
    with _compressed(kind, file, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            check()
            total += len(chunk)
            if total > most:
                raise ToolFailed(f"the archive unpacks to more than {limits.total_bytes} bytes")
            if total > _SMALL_BYTES and total > packed * limits.ratio:
                raise ToolFailed(f"the archive unpacks to more than {limits.ratio} times its size")
            unpacked.write(chunk)
    unpacked.seek(0)


@contextmanager
def _compressed(kind: str, file: IO[bytes], mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    stream: Any = file
    if kind == "gz":
        stream = gzip.GzipFile(filename="", fileobj=file, mode=mode)
    elif kind == "bz2":
        stream = bz2.BZ2File(file, mode)
    elif kind == "xz":
        stream = lzma.LZMAFile(file, mode)  # noqa: SIM115 - it is closed below
    elif kind == "zst":
        stream = _zstd().open(file, mode)
    try:
        yield stream
    finally:
        if stream is not file:
            stream.close()


def _zstd() -> Any:
    try:
        return import_module("compression.zstd")  # since Python 3.14
    except ImportError:
        return None
