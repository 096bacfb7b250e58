"""The files in a store of artifacts, for whoever removes those that nobody needs, while others use the store.

Nothing is removed that was put in or asked for since an instant: a store marks a file as used when somebody offers it
again. A file is first moved aside, which no reader notices who has it open, and looked at once more: so one that comes
into use at the very moment of its removal is put back, or was gone before it was asked for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DIGEST = re.compile(r"[0-9a-f]{64}")
PARTIAL = "partial"
"""The directory, within a store, of what is not whole."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a store.

    Attributes:
        path: Where it is.
        size: Its bytes.
        used_at: When it came, or was last offered, in seconds since the epoch.
        whole: Whether it has come as a whole; else it is named by what it was to become.
    """

    path: Path
    size: int
    used_at: float
    whole: bool

    @property
    def sha256(self) -> str:
        """The digest that names it."""
        return self.path.name


def stored_files(root: Path) -> Iterator[StoredFile]:
    """All files of a store, and the beginnings of files."""
    for folder in root.glob("*"):
        whole = len(folder.name) == 2
        if not whole and folder.name != PARTIAL:
            continue
        for path in folder.iterdir():
            if DIGEST.fullmatch(path.name) is None:
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            yield StoredFile(path, status.st_size, status.st_mtime, whole)


def remove_unused(root: Path, file: StoredFile, *, before: float) -> bool:
    """Remove a file unless it was used since `before`; returns whether it is gone by this call.

    Raises:
        OSError: it can't be removed.
    """
    aside = root / PARTIAL / f"{secrets.token_hex(16)}.tmp"
    try:
        if file.path.stat().st_mtime >= before:
            return False
        file.path.rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime >= before:
        aside.rename(file.path)
        return False
    aside.unlink()
    return True
