"""Files below one root: read, write, list, search and hash; nothing outside of it can be reached."""

from __future__ import annotations

import codecs
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ..context import ToolContext
from ..errors import ToolFailed
from ..tool import tool
from ..toolset import Toolset
from .confinement import MAX_DEPTH, Root, open_regular_file, replace_file, shown_name

MAX_READ_BYTES = 1024 * 1024
"""The most that one call of files_read returns."""

MAX_ENTRIES = 10_000
"""The most entries that one call of files_list returns, and matches that files_search does."""

MAX_LINE_CHARACTERS = 500
"""How much of a matching line files_search shows."""

MAX_SEARCHED_BYTES = 64 * 1024 * 1024
"""The largest file that files_search looks into."""

_CHUNK_BYTES = 1024 * 1024

Pattern = Annotated[str, Field(max_length=255)]


class FileText(TypedDict):
    """A piece of a text file."""

    text: str
    size: int
    next_offset: int | None


class FileDigest(TypedDict):
    """A file's content in short."""

    path: str
    size: int
    sha256: str


class FileEntry(TypedDict):
    """One entry of a directory."""

    path: str
    kind: Literal["file", "directory", "link", "other"]
    size: int
    modified_at: float


class FileListing(TypedDict):
    """Entries of a directory; `truncated` when there were more."""

    entries: list[FileEntry]
    truncated: bool


class FileMatch(TypedDict):
    """A line that holds the text; lines count from 1."""

    path: str
    line: int
    text: str


class FileMatches(TypedDict):
    """Matching lines; `truncated` when there were more."""

    matches: list[FileMatch]
    files_searched: int
    truncated: bool


def files_tools(root: Path, *, hard_links: bool = False) -> Toolset:
    """Return tools for the files below a directory.

    Args:
        root: The directory.
        hard_links: Whether files with several names may be read; one of the names may be outside of the root.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root, hard_links=hard_links)

    @tool(read_only=True, open_world=False)
    def files_read(
        path: str,
        offset: Annotated[int, Field(ge=0, le=2**53)] = 0,
        max_bytes: Annotated[int, Field(ge=4, le=MAX_READ_BYTES)] = 256 * 1024,
    ) -> FileText:
        """Read a UTF-8 text file, or a piece of it. `next_offset` says where to go on, null at the end.

        Args:
            path: The file, relative to the root.
            offset: The byte to start at.
            max_bytes: The most to read.
        """
        with inside.regular_file(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
            size = os.fstat(descriptor).st_size
            file.seek(offset)
            data = file.read(max_bytes)
        more = offset + len(data) < size
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data, final=not more)
        held_back = len(decoder.getstate()[0])  # the start of a character that the limit has cut
        return {"text": text, "size": size, "next_offset": offset + len(data) - held_back if more else None}

    @tool(idempotent=True, destructive=True, open_world=False, runs_programs=False)
    def files_write(path: str, text: str) -> FileDigest:
        """Write a whole UTF-8 text file, in place of what is there; makes missing directories.

        Args:
            path: The file, relative to the root.
            text: The new content.
        """
        data = text.encode()
        with inside.parent(path, create=True) as (directory, name):
            try:
                replace_file(directory, name, lambda file: file.write(data))
            except OSError as error:
                raise ToolFailed(f"{path!r} can't be written: {error.strerror}") from error
        return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    @tool(read_only=True, open_world=False)
    def files_list(
        context: ToolContext,
        path: str = ".",
        pattern: Pattern = "*",
        recursive: bool = False,
        limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = 1000,
    ) -> FileListing:
        """List a directory, sorted by name. Links are named but not followed.

        Args:
            context: Tells when to stop.
            path: The directory, relative to the root.
            pattern: Which names to list, such as `*.csv`.
            recursive: Also list what is in directories below.
            limit: The most entries to return.
        """
        entries: list[FileEntry] = []
        with inside.directory(path) as top:
            for place, names, directory in _walk(top, recursive, context):
                for name in fnmatch.filter(names, pattern):
                    if len(entries) == limit:
                        return {"entries": entries, "truncated": True}
                    with suppress(FileNotFoundError):  # gone since the directory was read
                        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                        entries.append(_entry(_joined(path, place, name), status))
        return {"entries": entries, "truncated": False}

    @tool(read_only=True, open_world=False)
    def files_search(
        context: ToolContext,
        text: Annotated[str, Field(min_length=1)],
        path: str = ".",
        pattern: Pattern = "*",
        ignore_case: bool = False,
        limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = 200,
    ) -> FileMatches:
        """Find the lines that hold a text, in all files below a directory; passes over huge and non-UTF-8 ones.

        Args:
            context: Tells when to stop.
            text: The text to find, as it is: not a pattern.
            path: The directory to search, relative to the root.
            pattern: Which file names to search, such as `*.py`.
            ignore_case: Take upper and lower case for the same.
            limit: The most lines to return.
        """
        wanted = text.casefold() if ignore_case else text
        matches: list[FileMatch] = []
        searched = 0
        with inside.directory(path) as top:
            for place, names, directory in _walk(top, True, context):
                for name in fnmatch.filter(names, pattern):
                    context.check_cancelled()
                    try:
                        descriptor = open_regular_file(directory, name, hard_links=hard_links)
                    except OSError:  # a directory, a link, a pipe, or not ours to read
                        continue
                    with open(descriptor, encoding="utf-8") as file, suppress(UnicodeDecodeError):
                        if os.fstat(descriptor).st_size > MAX_SEARCHED_BYTES:
                            continue
                        searched += 1
                        for number, line in enumerate(file, 1):
                            context.check_cancelled()
                            if wanted not in (line.casefold() if ignore_case else line):
                                continue
                            if len(matches) == limit:
                                return {"matches": matches, "files_searched": searched, "truncated": True}
                            shown = line.rstrip("\n")[:MAX_LINE_CHARACTERS]
                            matches.append({"path": _joined(path, place, name), "line": number, "text": shown})
        return {"matches": matches, "files_searched": searched, "truncated": False}

    @tool(read_only=True, open_world=False)
    def files_hash(context: ToolContext, path: str) -> FileDigest:
        """Return a file's size and SHA-256.

        Args:
            context: Tells when to stop.
            path: The file, relative to the root.
        """
        digest = hashlib.sha256()
        size = 0
        with inside.regular_file(path) as descriptor:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                context.check_cancelled()
                digest.update(chunk)
                size += len(chunk)
        return {"path": path, "size": size, "sha256": digest.hexdigest()}

    return Toolset([files_read, files_write, files_list, files_search, files_hash], name="files")


def _walk(top: int, recursive: bool, context: ToolContext) -> Iterator[tuple[str, list[str], int]]:
    """Yield each directory's path below `top`, its sorted names and its descriptor, without following links."""
    for place, directories, files, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        context.check_cancelled()
        yield place, sorted(directories + files), descriptor
        # What lies deeper than paths may lead could not be asked for, and each level is held open.
        directories[:] = sorted(directories) if place.count("/") < MAX_DEPTH else []
        if not recursive:
            return


def _joined(*parts: str) -> str:
    """Join paths and drop what stands for nothing; `..` stays, since what it means depends on links."""
    return shown_name("/".join(name for part in parts for name in part.split("/") if name not in ("", ".")))


def _entry(path: str, status: os.stat_result) -> FileEntry:
    kinds: dict[int, Literal["file", "directory", "link", "other"]] = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
    return {"path": path, "kind": kind, "size": status.st_size, "modified_at": status.st_mtime}
