"""Choosing the store by what a journal is called."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .base import Journal, Synchronous
from .errors import UnsupportedJournal
from .home import default_home

MEMORY = ":memory:"
"""The name of a journal that is kept in memory only."""

NONE = ":none:"
"""The name of a journal that keeps, in memory, which runs there are and nothing of what happens in them."""

FLEETING = (MEMORY, NONE)
"""The names of journals that are gone with the process."""

POSTGRES = ("postgresql", "postgres")
"""The schemes of URLs of databases."""

DEFAULT_FILE = "journal.db"
"""The file's name in the directory of the user's state."""


@asynccontextmanager
async def open_journal(
    url_or_path: str | Path | None = None, *, synchronous: Synchronous = "full"
) -> AsyncIterator[Journal]:
    """Open a journal, made if there is none, and close it in the end.

    Args:
        url_or_path: A path; `sqlite:///relative.db` or `sqlite:////absolute.db`; `:memory:` for one that is gone
            with the process; `:none:` for one without records, as cheap as can be; None for the user's own, in
            `default_home()`; `postgresql://user@host/database` for one that several machines share (extra `postgres`).
        synchronous: Whether it survives a power cut whole (`full`) or, faster, without its last commits
            (`normal`). The death of the process harms neither.

    Raises:
        UnsupportedJournal: there is no store for such a URL.
        JournalError: the store can't be opened.
    """
    journal = await _open(_place(url_or_path), synchronous)
    try:
        yield journal
    finally:
        await journal.aclose()


async def _open(place: Path | str, synchronous: Synchronous) -> Journal:
    if place == MEMORY:
        from .memory import MemoryJournal

        return MemoryJournal()
    if place == NONE:
        from .unrecorded import UnrecordedJournal

        return UnrecordedJournal()
    if isinstance(place, Path):
        from .sqlite import SqliteJournal

        return await SqliteJournal.open(place, synchronous=synchronous)
    try:
        from .postgres import PostgresJournal
    except ImportError as error:
        raise UnsupportedJournal(
            f"a journal in PostgreSQL needs psycopg ({error}): pip install 'constellation-agents[postgres]'"
        ) from error
    return await PostgresJournal.open(place, synchronous=synchronous)


def _place(url_or_path: str | Path | None) -> Path | str:
    """Return the absolute path of the file that is meant, the URL of a database, or one of the names in `FLEETING`."""
    if url_or_path is None:
        return default_home() / DEFAULT_FILE
    if isinstance(url_or_path, Path):
        return url_or_path.expanduser().absolute()
    scheme, is_url, rest = url_or_path.partition("://")
    if not is_url:
        name = url_or_path
    elif scheme.lower() == "sqlite" and rest.startswith("/") and "?" not in rest:
        name = rest[1:]
    elif scheme.lower() in POSTGRES:
        return url_or_path
    else:  # the rest of the URL may hold a password
        raise UnsupportedJournal(
            f"no journal can be opened by this {scheme}:// URL; supported are a file's path, sqlite:///relative.db, "
            f"sqlite:////absolute.db (without options), postgresql://user@host/database, {MEMORY} and {NONE}"
        )
    if not name:
        raise UnsupportedJournal(f"the journal's path is empty; give a file's path or {MEMORY}")
    return name if name in FLEETING else Path(name).expanduser().absolute()


def journal_name(url_or_path: str | Path | None) -> str:
    """What a journal is called, whichever way it was named: an absolute path, or a URL without its password.

    Raises:
        UnsupportedJournal: there is no store for such a URL.
    """
    return without_password(str(_place(url_or_path)))


def without_password(journal: str) -> str:
    """What a journal is called, as it may be shown: the URL of a database without its password.

    Who follows the advice that it stands in gives the password by `PGPASSWORD` or a password file, or puts it back.
    """
    scheme, is_url, rest = journal.partition("://")
    if not is_url:
        return journal
    who, at, where = rest.rpartition("@")
    where = re.sub(r"(?<=[?&])(ssl)?password=[^&]*(&|$)", "", where).rstrip("?&")
    return f"{scheme}://{who.partition(':')[0]}{at}{where}"
