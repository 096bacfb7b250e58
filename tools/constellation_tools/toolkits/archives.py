"""Archives below one root: listed, unpacked and made; what they hold is taken for hostile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ..context import ToolContext
from ..errors import Confined, ToolFailed
from ..tool import tool
from ..toolset import Toolset
from .archive_formats import ArchiveLimits, ArchiveReader, Member, format_of, opened_archive, opened_writer
from .confinement import MAX_DEPTH, Root, has_control_characters, open_regular_file, replace_file

MAX_LISTED = 10_000
"""The most members that one call of archives_list returns."""

_CHUNK_BYTES = 1024 * 1024


class ArchiveMember(TypedDict):
    """What an archive has under a name; sizes in bytes."""

    path: str
    kind: Literal["file", "directory", "link", "other"]
    size: int


class ArchiveListing(TypedDict):
    """The members of an archive; `truncated` when there are more than are listed."""

    members: list[ArchiveMember]
    truncated: bool


class ArchiveOutcome(TypedDict):
    """What has been unpacked or packed; `skipped` are links, devices and the like that were left out."""

    path: str
    files: int
    bytes: int
    skipped: list[str]


def archives_tools(root: Path, *, limits: ArchiveLimits | None = None) -> Toolset:
    """Return tools for zip and tar archives below a directory.

    Args:
        root: The directory.
        limits: How much an archive may hold.

    Raises:
        ValueError: the root is not a directory.
    """
    inside = Root(root)
    bounds = limits or ArchiveLimits()

    @contextmanager
    def reading(path: str, context: ToolContext) -> Iterator[ArchiveReader]:
        kind = format_of(path)
        with (
            inside.regular_file(path) as descriptor,
            open(descriptor, "rb", closefd=False) as file,
            opened_archive(kind, file, path, bounds, context.check_cancelled) as archive,
        ):
            yield archive

    @tool(read_only=True, open_world=False)
    def archives_list(
        context: ToolContext, path: str, limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = 1000
    ) -> ArchiveListing:
        """List what an archive holds, without unpacking it.

        Args:
            context: Tells when to stop.
            path: The archive, relative to the root: .zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, or .tar.zst.
            limit: The most members to return.
        """
        listed: list[ArchiveMember] = []
        with reading(path, context) as archive:
            for member in archive.members():
                if len(listed) == limit:
                    return {"members": listed, "truncated": True}
                listed.append({"path": member.path, "kind": member.kind, "size": member.size})
        return {"members": listed, "truncated": False}

    @tool(destructive=True, open_world=False, runs_programs=False)
    def archives_extract(context: ToolContext, path: str, to: str = ".", overwrite: bool = False) -> ArchiveOutcome:
        """Unpack an archive. It is looked through first: one bad name, link or size and nothing is unpacked.

        Args:
            context: Tells when to stop.
            path: The archive, relative to the root.
            to: The directory to unpack into, relative to the root; made if missing.
            overwrite: Put members in place of files that are there; otherwise such a file is an error.
        """
        with reading(path, context) as archive:
            members = list(archive.members())
            for member in members:
                _check_member(member)
                if member.kind == "file" and not overwrite and _is_there(inside, f"{to}/{member.path}"):
                    raise ToolFailed(f"{f'{to}/{member.path}'!r} is there already; say overwrite, or unpack elsewhere")
            total = 0
            for member in members:
                context.check_cancelled()
                target = f"{to}/{member.path}"
                if member.kind == "directory":
                    with inside.parent(f"{target}/.keep", create=True):
                        continue
                with inside.parent(target, create=True) as (directory, name), archive.content(member) as content:
                    try:
                        replace_file(directory, name, lambda file, c=content, m=member: _copy(c, file, m, context))  # type: ignore[misc]
                    except OSError as error:
                        raise ToolFailed(f"{target!r} can't be written: {error.strerror or error}") from error
                total += member.size
        files = sum(member.kind == "file" for member in members)
        return {"path": to, "files": files, "bytes": total, "skipped": []}

    @tool(destructive=True, open_world=False, runs_programs=False)
    def archives_create(
        context: ToolContext, path: str, sources: Annotated[list[str], Field(min_length=1, max_length=1000)]
    ) -> ArchiveOutcome:
        """Pack files and directories into a new archive, in place of one that is there.

        Args:
            context: Tells when to stop.
            path: The archive to make, relative to the root; its ending says which kind.
            sources: Files and directories, relative to the root; they keep these names.
        """
        kind = format_of(path)
        outcome: ArchiveOutcome = {"path": path, "files": 0, "bytes": 0, "skipped": []}

        def write(file: IO[bytes]) -> None:
            with opened_writer(kind, file) as add:
                for name, descriptor in _packed(inside, sources, outcome, context):
                    status = os.fstat(descriptor)
                    outcome["files"] += 1
                    outcome["bytes"] += status.st_size
                    if outcome["files"] > bounds.members or outcome["bytes"] > bounds.total_bytes:
                        raise ToolFailed(f"{path!r} would hold more than archives may hold here: {bounds}")
                    with open(descriptor, "rb", closefd=False) as content:
                        add(name, content, status)

        with inside.parent(path, create=True) as (directory, name):
            try:
                replace_file(directory, name, write)
            except OSError as error:
                raise ToolFailed(f"{path!r} can't be written: {error.strerror or error}") from error
        return outcome

    return Toolset([archives_list, archives_extract, archives_create], name="archives")


def _check_member(member: Member) -> None:
    """Refuse what may not be unpacked.

    Raises:
        Confined: its name leads out, or it is a link or a device.
    """
    names = member.path.replace("\\", "/").split("/")
    drive = len(names[0]) == 2 and names[0].endswith(":")
    if member.path.startswith(("/", "\\")) or drive or ".." in names or has_control_characters(member.path):
        raise Confined(f"the archive has a member {member.path!r}, whose name leads out of where it is unpacked")
    if len(names) > MAX_DEPTH or not any(names):
        raise Confined(f"the archive has a member {member.path[:100]!r}, which lies too deep or has no name")
    if member.kind not in ("file", "directory"):
        raise Confined(f"the archive has a member {member.path!r} that is a link or a device; nothing is unpacked")


def _is_there(inside: Root, path: str) -> bool:
    try:
        with inside.parent(path) as (directory, name):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            return True
    except (ToolFailed, FileNotFoundError):
        return False


def _copy(content: IO[bytes], file: IO[bytes], member: Member, context: ToolContext) -> None:
    """Copy a member's content; one that is longer than was said is cut off with an error."""
    left = member.size
    while chunk := content.read(min(_CHUNK_BYTES, left + 1)):
        context.check_cancelled()
        left -= len(chunk)
        if left < 0:
            raise ToolFailed(f"the member {member.path!r} is longer than its archive says")
        file.write(chunk)
    if left:
        raise ToolFailed(f"the member {member.path!r} is shorter than its archive says")


def _packed(
    inside: Root, sources: list[str], outcome: ArchiveOutcome, context: ToolContext
) -> Iterator[tuple[str, int]]:
    """The files among the sources and below them, each open, with the name that it has in the archive."""
    packed: set[str] = set()
    for source in sources:
        plain = "/".join(part for part in source.split("/") if part not in ("", "."))
        try:
            with inside.directory(source) as top:
                for place, directories, files, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                    directories[:] = sorted(directories) if place.count("/") < MAX_DEPTH else []
                    for name in sorted(files):
                        context.check_cancelled()
                        path = "/".join(part for part in f"{plain}/{place}/{name}".split("/") if part not in ("", "."))
                        if path in packed:  # sources may overlap, and two members of one name can't be unpacked
                            continue
                        packed.add(path)
                        try:
                            opened = open_regular_file(descriptor, name)
                        except OSError:  # a link, a device, or not ours to read
                            outcome["skipped"].append(path)
                            continue
                        try:
                            yield path, opened
                        finally:
                            os.close(opened)
        except ToolFailed:  # it is no directory
            with inside.regular_file(source) as descriptor:
                if plain not in packed:
                    packed.add(plain)
                    yield plain, descriptor
