"""A directory that nothing leads out of: paths are walked one name at a time, each relative to an open directory.

No path is ever compared with another one, so there is nothing to trick and nothing to race: every step opens a
name below a directory that is held open, without following a link. Links are followed by hand, step by step, as
long as they stay inside.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from ..errors import Confined, ToolFailed

MAX_DEPTH = 64
"""How many directories deep a path may lead: each is held open while it is walked."""

_MAX_LINKS = 40
_MAX_PATH_CHARACTERS = 4096
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """A directory to work in, given by the host; paths from outside are relative to it."""

    def __init__(self, path: Path, *, hard_links: bool = False) -> None:
        """Take a directory as root.

        Args:
            path: The directory.
            hard_links: Whether files with several names may be read; one of the names may be outside.

        Raises:
            ValueError: it is not a directory.
        """
        self._hard_links = hard_links
        self.path = Path(path).resolve()
        if not self.path.is_dir():
            raise ValueError(f"the root {self.path} is not a directory; create it first")

    @contextmanager
    def parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """Open the directory that a path's last name stands in.

        Args:
            path: Relative to the root.
            create: Make the directories on the way that are missing.

        Yields:
            The directory's descriptor, and the last name: neither a link nor `..`, but perhaps missing.

        Raises:
            Confined: the path is absolute or leads out of the root.
            ToolFailed: a directory on the way can't be opened.
        """
        with ExitStack() as stack:
            directories, name = self._walk(stack, path, create)
            yield directories[-1], name

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """Open a directory and yield its descriptor; `.` is the root itself.

        Raises:
            Confined: the path is absolute or leads out of the root.
            ToolFailed: it is not there or not a directory.
        """
        with self.parent(path) as (parent, name):
            try:
                descriptor = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
            except OSError as error:
                _fail(path, error)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def regular_file(self, path: str) -> Iterator[int]:
        """Open a regular file for reading and yield its descriptor.

        Raises:
            Confined: the path is absolute or leads out of the root, or the file has other names, as a hard link does.
            ToolFailed: it is not there, or not a regular file.
        """
        with self.parent(path) as (parent, name):
            try:
                descriptor = open_regular_file(parent, name, hard_links=self._hard_links)
            except OSError as error:
                if error.errno == errno.EMLINK:
                    raise Confined(f"{path!r} has other names, which may be outside of the tool's root") from error
                _fail(path, error)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _walk(self, stack: ExitStack, path: str, create: bool) -> tuple[list[int], str]:
        """Open the directories of a path from the root down; `..` goes back to the one that was opened before."""
        if not path or len(path) > _MAX_PATH_CHARACTERS or has_control_characters(path):
            raise Confined(
                f"{path[:100]!r} is not a path to use: it is empty, far too long, or holds control characters; give "
                "one relative to the tool's root, such as 'data/a.txt'"
            )
        directories = [os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        stack.callback(_close_all, directories)
        names = _names_of(path, path)
        links = 0
        last = "."
        while names:
            name = names.pop()
            if name == "..":
                if len(directories) == 1:
                    raise Confined(f"{path!r} leads out of the tool's root; stay below it")
                os.close(directories.pop())
                continue
            target = _link_target(directories[-1], name)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise ToolFailed(f"{path!r} goes through more than {_MAX_LINKS} links")
                names.extend(_names_of(target, path))
                continue
            if not names:
                last = name
                break
            if len(directories) > MAX_DEPTH:
                raise Confined(f"{path[:100]!r} leads through more than {MAX_DEPTH} directories")
            try:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=directories[-1])
                directories.append(os.open(name, _DIRECTORY_FLAGS, dir_fd=directories[-1]))
            except OSError as error:
                _fail(path, error)
        return directories, last


def open_regular_file(directory: int, name: str, *, hard_links: bool = False) -> int:
    """Open a regular file for reading, not through a link, and never waiting as opening a pipe would.

    It is looked at before it is opened, because opening a device may have effects, and after, because it may have
    been exchanged in between.

    Raises:
        OSError: it can't be opened, is something else than a regular file, or has other names (EMLINK).
    """
    _check_regular(os.stat(name, dir_fd=directory, follow_symlinks=False), name, hard_links)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        _check_regular(os.fstat(descriptor), name, hard_links)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def replace_file(directory: int, name: str, write: Callable[[IO[bytes]], object]) -> None:
    """Write a new file beside the old one and put it in its place, so that a reader sees one of the two, whole.

    Other names of the old file keep their content. Its permissions are kept, but not those that lend its owner's
    rights to whoever runs it.

    Args:
        directory: An open directory.
        name: The file's name in it.
        write: Writes the content.

    Raises:
        OSError: it can't be written, or something else than a regular file has this name.
    """
    mode = 0o644
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        _check_regular(status, name, hard_links=True)
        mode = status.st_mode & 0o777
    fresh = f".{secrets.token_hex(8)}.tmp"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        with open(descriptor, "wb") as file:
            write(file)
            os.fchmod(file.fileno(), mode)
        os.replace(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=directory)
        raise


def has_control_characters(text: str) -> bool:
    """Whether a name holds what no honest name does: a NUL, line breaks, escapes for terminals."""
    return any(character < " " or character == "\x7f" for character in text)


def shown_name(name: str) -> str:
    """A name that the system has given, as text that can be sent: bytes that are not UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _check_regular(status: os.stat_result, name: str, hard_links: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(kind, "is not a regular file", name)
    if status.st_nlink > 1 and not hard_links:
        raise OSError(errno.EMLINK, "has other names", name)


def path_of_directory(descriptor: int) -> str:
    """Return a path by which a child process can enter an open directory."""
    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return f"/proc/self/fd/{descriptor}"


def _names_of(path: str, asked: str) -> list[str]:
    """Split a path into names, last first."""
    if path.startswith("/"):
        raise Confined(f"{asked!r} is or leads to an absolute path; give one relative to the tool's root")
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _link_target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:  # not a link, or not there: opening it tells
        return None


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _fail(path: str, error: OSError) -> NoReturn:
    raise ToolFailed(f"{path!r}: {error.strerror}") from error
