"""Which artifacts of a home nobody needs any more: those that no run refers to.

The artifacts of a home serve every journal that was ever used with it, so all of these are asked (`homes.py`). Whoever
is not sure removes nothing.

A journal counts as referring to every digest that stands anywhere in its records, whatever it stands there for. Files
that came, or were offered again, within `GRACE_S` stay: the result that refers to them may be on its way.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from constellation_protocol.stored import StoredFile, remove_unused, stored_files

from ..journal import Journal, JournalError, RunNotFound, open_journal
from .errors import FilesInUse
from .homes import ARTIFACTS, noted_journals
from .intake import FLEET_KEY
from .retention import ENDED, EVERY_RUN

GRACE_S = 86_400.0
"""How long a file stays that nobody refers to: a device may take so long over a result with many files."""

MAX_SEARCHED_BYTES = 64 * 1024 * 1024
"""How large a file may be that is searched for references to other files: more than any JSON of an output has."""

_REFERENCE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Unneeded:
    """What nobody needs.

    Attributes:
        files: Artifacts, and beginnings of files that nobody goes on with.
        before: When they have to have been used last, in seconds since the epoch, so that they still may go.
    """

    files: tuple[StoredFile, ...]
    before: float

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(file.size for file in self.files)


@asynccontextmanager
async def users_of(home: Path, opened: Mapping[str, Journal]) -> AsyncIterator[Mapping[str, Journal]]:
    """Open every journal that was ever used with a home, besides those that are open already; both by name.

    Raises:
        FilesInUse: one of them can't be asked.
    """
    async with AsyncExitStack() as stack:
        found = dict(opened)
        for name in sorted(noted_journals(home) - opened.keys()):
            if _was_deleted(name):
                continue
            try:
                found[name] = await stack.enter_async_context(open_journal(name if "://" in name else Path(name)))
            except JournalError as error:
                raise FilesInUse(
                    f"files stay: the runs of the journal {name} may need them, and it can't be opened: {error}"
                ) from error
        yield found


async def unneeded_files(
    home: Path, users: Mapping[str, Journal], *, now: float, without: Collection[str] = ()
) -> Unneeded:
    """Find the artifacts that no run refers to.

    Args:
        home: Where they are.
        users: All journals that were used with it; see `users_of`.
        now: The time, in seconds since the epoch.
        without: Runs that count as removed.
    """
    artifacts, before = home / ARTIFACTS, now - GRACE_S
    # Files first, references afterwards: what is referred to meanwhile is seen, or was offered again and is young.
    every = await anyio.to_thread.run_sync(lambda: list(stored_files(artifacts)))
    candidates = [file for file in every if file.used_at < before]
    if not candidates:
        return Unneeded((), before)
    found: set[str] = set()
    for journal in users.values():
        found |= await _referred_to(journal, without)
    needed = await anyio.to_thread.run_sync(_with_what_they_refer_to, artifacts, found)
    return Unneeded(tuple(file for file in candidates if not file.whole or file.sha256 not in needed), before)


async def remove_files(home: Path, found: Unneeded) -> Unneeded:
    """Remove files that nobody needs; returns those that have really gone, which none does that has come into use."""

    def work() -> list[StoredFile]:
        return [file for file in found.files if remove_unused(home / ARTIFACTS, file, before=found.before)]

    return Unneeded(tuple(await anyio.to_thread.run_sync(work)), found.before)


async def unfinished_fleets(users: Mapping[str, Journal]) -> set[str]:
    """The fleets of runs that have not ended, which may be wanted back."""
    return {
        str(summary.info[FLEET_KEY])
        for journal in users.values()
        for summary in await journal.runs(limit=EVERY_RUN)
        if FLEET_KEY in summary.info and summary.state not in ENDED
    }


def _was_deleted(name: str) -> bool:
    """Whether a journal's file is gone, with its runs, rather than on a disk that is not here."""
    return "://" not in name and not Path(name).exists() and Path(name).parent.is_dir()


async def _referred_to(journal: Journal, without: Collection[str]) -> set[str]:
    """Every digest that stands in the records of a journal."""
    found: set[str] = set()
    for summary in await journal.runs(limit=EVERY_RUN):
        if summary.run in without:
            continue
        try:
            async for record in journal.read(summary.run):
                found.update(match.decode() for match in _REFERENCE.findall(record.body))
        except RunNotFound:
            continue  # it was removed meanwhile
    return found


def _with_what_they_refer_to(artifacts: Path, needed: set[str]) -> set[str]:
    """Add what the needed files themselves refer to: an output that was too long for a message is a file of JSON."""
    looked_at: set[str] = set()
    while fresh := needed - looked_at:
        looked_at |= fresh
        for sha256 in fresh:
            try:
                with (artifacts / sha256[:2] / sha256).open("rb") as file:
                    if file.read(1) in (b"{", b"[", b'"'):
                        needed.update(match.decode() for match in _REFERENCE.findall(file.read(MAX_SEARCHED_BYTES)))
            except FileNotFoundError:
                continue
    return needed
