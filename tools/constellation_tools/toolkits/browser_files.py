"""Files that pages have sent: waited for, checked for size, kept as artifacts, and put below a root if wanted.

A page chooses what its files are called. That is a label; where a file is put, no other one is overwritten or hidden.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from playwright.async_api import Download, Error

from ..context import ToolContext
from ..errors import ToolFailed
from ..wording import cleaned
from .browser_session import Session
from .browser_tab import NOTE_CHARACTERS, URL_CHARACTERS
from .confinement import Root

if TYPE_CHECKING:
    from .browser import BrowserFile

MAX_NAME_CHARACTERS = 100
"""How long the name of a file may be that is put below a root."""

_MAX_SAME = 100
_UNSAFE = re.compile(r"[^\w.() -]")


async def take_files(
    session: Session,
    context: ToolContext,
    save: Callable[[str, Path], str] | None,
    max_bytes: int,
    timeout_s: float,
) -> list[BrowserFile]:
    """Take what pages have sent; what has not come in time stays for the next call.

    Args:
        session: The browser.
        context: Keeps files.
        save: Puts one below a root under a name, and returns its path.
        max_bytes: The largest file.
        timeout_s: How long to wait for those that are still coming.
    """
    session.proxy.refill()
    waiting = list(session.downloads)
    taken: list[BrowserFile] = []
    deadline = anyio.current_time() + timeout_s
    for download in waiting:
        found: BrowserFile = {
            "name": cleaned(download.suggested_filename, NOTE_CHARACTERS),
            "url": cleaned(download.url, URL_CHARACTERS),
            "file": None,
            "saved_as": None,
            "problem": "it is still coming: take it later",
        }
        taken.append(found)
        with anyio.CancelScope(deadline=deadline):
            problem, path = await _arrived(download, max_bytes)
            if path is not None:
                keep = functools.partial(context.artifact, path, name=found["name"])
                found["file"] = await anyio.to_thread.run_sync(keep)
                if save is not None:
                    found["saved_as"] = await anyio.to_thread.run_sync(save, found["name"], path)
            found["problem"] = problem
            session.downloads.remove(download)
            await _forget(download)
    return taken


def save_new(root: Root, directory: str, name: str, source: Path) -> str:
    """Put a copy of a file into a directory below a root, under a name that nothing has there; returns its path.

    Raises:
        Confined: the directory is not below the root.
        ToolFailed: it can't be written, or there are too many files of this name.
    """
    plain = _UNSAFE.sub("_", name).strip(" .")[-MAX_NAME_CHARACTERS:].lstrip(" .") or "file"
    stem, suffix = os.path.splitext(plain)
    for number in range(1, _MAX_SAME + 1):
        path = f"{directory}/{plain if number == 1 else f'{stem} ({number}){suffix}'}"
        with root.parent(path, create=True) as (parent, last):
            try:
                descriptor = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent)
            except FileExistsError:
                continue
            except OSError as error:
                raise ToolFailed(f"{path!r}: {error.strerror}") from error
            with open(descriptor, "wb") as target, source.open("rb") as file:
                shutil.copyfileobj(file, target)
            return os.path.normpath(path)
    raise ToolFailed(f"there are {_MAX_SAME} files named like {plain!r} in {directory!r}")


async def _arrived(download: Download, max_bytes: int) -> tuple[str | None, Path | None]:
    try:
        failure = await download.failure()
        if failure is not None:
            return f"it did not come: {cleaned(failure, NOTE_CHARACTERS)}", None
        path = await download.path()
    except Error as error:  # its page was closed, say
        return f"it did not come: {cleaned(error.message, NOTE_CHARACTERS)}", None
    size = path.stat().st_size
    if size > max_bytes:
        return f"it takes {size} bytes, and {max_bytes} is the limit", None
    return None, path


async def _forget(download: Download) -> None:
    with suppress(Error):  # it never came
        await download.delete()
