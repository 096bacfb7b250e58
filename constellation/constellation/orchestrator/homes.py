"""The home of an orchestrator: where files and the state of devices are kept, and which journals were used with it.

Each orchestrator notes its journal in the home before it takes a file in, so that whoever wants to remove files can ask
all of them. One whose journal is in memory holds a lock instead, since nobody can ask it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..journal import FLEETING, default_home, journal_name
from .errors import FilesInUse

ARTIFACTS = "artifacts"
"""The directory of artifacts in a home."""

_NOTES = "journals"
_LOCK = "in-memory.lock"


@contextmanager
def home_for(journal: str | Path | None) -> Iterator[Path]:
    """The user's own home; a directory that is gone in the end where the journal is gone then too."""
    if journal not in FLEETING:
        yield default_home()
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="constellation-") as folder:
        yield Path(folder)


@contextmanager
def using_files(home: Path, journal: str | Path | None) -> Iterator[None]:
    """Say that an orchestrator uses the artifacts of a home for the runs of a journal, which can be opened."""
    artifacts = home / ARTIFACTS
    artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)
    if journal in FLEETING:
        with open(artifacts / _LOCK, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        return
    name = journal_name(journal)
    note = artifacts / _NOTES / hashlib.sha256(name.encode()).hexdigest()[:16]
    if not note.exists():
        note.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = note.with_suffix(f".{os.getpid()}")
        fresh.write_text(name, encoding="utf-8")
        fresh.replace(note)
    yield


def noted_journals(home: Path) -> set[str]:
    """The names of the journals that were ever used with a home.

    Raises:
        FilesInUse: an orchestrator uses it whose journal is in memory.
    """
    artifacts = home / ARTIFACTS
    if not artifacts.is_dir():
        return set()
    with open(artifacts / _LOCK, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FilesInUse("files stay: an orchestrator uses them whose journal is in memory") from None
    notes = artifacts / _NOTES
    return {
        note.read_text(encoding="utf-8")
        for note in (notes.iterdir() if notes.is_dir() else ())
        if re.fullmatch(r"[0-9a-f]{16}", note.name)
    }
