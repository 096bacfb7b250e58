"""The SQLite file of a journal: how it is born, opened and recognised, and what its errors mean.

A new file is made complete under another name and then linked to its own, so that no other process, and no
crash, ever meets a half-made one; and so a file that is empty or lacks its tables is damaged or not ours.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from .base import Synchronous
from .errors import JournalCorrupt, JournalError, JournalTooNew, JournalUnavailable

FORMAT_VERSION = 1
"""The version of the tables below; goes up with every change that older software can't read."""

BUSY_TIMEOUT_S = 10.0
"""How long a statement waits for another process's write before it fails."""

WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
"""What the write-ahead log is cut down to after a burst."""

CACHED_STATEMENTS = 256
"""Prepared statements kept per connection: more than there are different ones."""

# The body comes last: SQLite then reads the other columns without following a large body's overflow pages.
_TABLES: Final = (
    "CREATE TABLE journal_format (version INTEGER NOT NULL) STRICT",
    """
    CREATE TABLE runs (
        key INTEGER PRIMARY KEY,
        run TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at REAL NOT NULL,
        touched_at REAL NOT NULL,
        parent TEXT,
        info TEXT NOT NULL,
        lease_owner TEXT,
        lease_expires_at REAL
    ) STRICT
    """,
    "CREATE INDEX runs_newest ON runs (created_at, key)",
    """
    CREATE TABLE records (
        run INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        crc INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID
    """,
)


def prepare(path: Path) -> None:
    """Make the file, private to its user, with the directories it needs, unless it is there already.

    Raises:
        JournalError: it can't be made, or what is there can't be a journal.
    """
    try:
        # Looked for before the file: it is born first, so a log without a file is left over, and would be replayed.
        log = Path(f"{path}-wal")
        log_exists = log.exists()
        if not path.exists():
            if log_exists:
                raise JournalCorrupt(str(path), f"the file is gone while its log {log} is left")
            _create(path)
        elif path.stat().st_size == 0:
            raise JournalCorrupt(str(path), "the file is empty")
    except OSError as error:
        raise JournalUnavailable(str(path), f"it can't be created: {error}") from error


def _create(path: Path) -> None:
    _make_private_directory(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with translated(path):
            _lay_tables(draft)
        with suppress(FileExistsError):  # another process was first, and its file is as good
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _make_private_directory(directory: Path) -> None:
    """Make a directory and its parents, all private: `Path.mkdir` would give the parents the default mode."""
    if directory.is_dir():
        return
    _make_private_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def _lay_tables(draft: Path) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO journal_format VALUES (?)", (FORMAT_VERSION,))
        connection.execute("COMMIT")


def connect(path: Path, *, synchronous: Synchronous = "full", writable: bool) -> sqlite3.Connection:
    """Open a connection to a prepared file. It may be used from any thread, by one at a time.

    Raises:
        JournalError: the file can't be opened, is damaged, is not a journal, or is from a newer version.
    """
    with translated(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        try:
            _check_format(connection, path)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT_BYTES}")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            if synchronous == "full":  # macOS: an ordinary fsync leaves data in the drive's cache
                connection.execute("PRAGMA fullfsync = ON")
                connection.execute("PRAGMA checkpoint_fullfsync = ON")
            if not writable:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def compact(path: Path) -> None:
    """Rewrite a journal's file without the pages that nothing is in any more.

    Raises:
        JournalError: another process keeps it locked, or there is no room for a second copy.
    """
    with closing(connect(path, writable=True)) as connection, translated(path):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal_format'").fetchone() is None:
        raise JournalUnavailable(str(path), "it is a SQLite database of something else; choose another path")
    row = connection.execute("SELECT version FROM journal_format").fetchone()
    if row is None:
        raise JournalCorrupt(str(path), "its format version is missing")
    if row[0] > FORMAT_VERSION:
        raise JournalTooNew(str(path), row[0], FORMAT_VERSION)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as the journal's own."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(path, error) from error


def translate(path: Path, error: sqlite3.Error) -> JournalError:
    """Return the journal's error for one of SQLite's."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the kind, the rest says more of it
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return JournalCorrupt(str(path), str(error))
        case sqlite3.SQLITE_BUSY:
            reason = f"another process has kept it locked for {BUSY_TIMEOUT_S:g} s"
            return JournalUnavailable(str(path), reason)
        case _:
            return JournalUnavailable(str(path), str(error))
