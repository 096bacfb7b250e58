"""`constellation gc`: remove old runs from a journal, and what they have left in the user's home."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import BadInput
from .options import AsJson, Journal
from .stopping import run_until_stopped

if TYPE_CHECKING:
    from ..journal import Journal as OpenJournal
    from ..orchestrator.retention import Family

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
"""What the letter behind a number of `--older-than` stands for, in seconds."""

MAX_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Left:
    """What became of the files in the home.

    Attributes:
        files: How many were removed, or would be.
        bytes: Their size.
        fleets: How many folders of fleets were removed, or would be.
        kept: Why nothing was; None when it was.
    """

    files: int = 0
    bytes: int = 0
    fleets: int = 0
    kept: str | None = None


def gc(
    older_than: Annotated[
        str, typer.Option(help="How long ago a run has to have ended: a number with s, m, h, d or w.", metavar="AGE")
    ] = "30d",
    keep: Annotated[int, typer.Option(min=0, max=MAX_KEPT, help="How many of the newest runs stay in any case.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Remove runs that have ended long ago, with those nested in them, and files that no run refers to any more."""
    from ..console.output import write_text
    from ..journal import open_journal
    from ..orchestrator.recovery import owner_name
    from ..orchestrator.retention import compact, expired, remove

    age_s = _seconds(older_than)

    async def body() -> int:
        async with open_journal(journal) as opened:
            removed = []
            now = time.time()
            for family in await expired(opened, before=now - age_s, keep=keep):
                if dry_run or await remove(opened, family, owner=owner_name(), at=now):
                    removed.append(family)
                    if as_json:
                        write_text(json.dumps(_fields(family)))
            compacted = bool(removed) and not dry_run and await compact(opened)
            gone = {member.run for family in removed for member in family.members}
            left = await _clear(opened, journal, gone, now=now, dry_run=dry_run)
        if as_json:
            write_text(json.dumps({"files": left.files, "bytes": left.bytes, "fleets": left.fleets, "kept": left.kept}))
        else:
            for text in (*_told(removed, dry_run=dry_run, compacted=compacted), *_told_of_files(left, dry_run=dry_run)):
                write_text(text)
        return 0

    return run_until_stopped(body)


async def _clear(opened: OpenJournal, name: str | None, gone: set[str], *, now: float, dry_run: bool) -> Left:
    """Remove the files and the fleets that nobody needs when these runs are gone."""
    import shutil

    from ..journal import FLEETING, default_home, journal_name
    from ..orchestrator.artifact_gc import GRACE_S, remove_files, unfinished_fleets, unneeded_files, users_of
    from ..orchestrator.errors import FilesInUse
    from ..orchestrator.fleets import dead_fleets

    home = default_home()
    try:
        async with users_of(home, {} if name in FLEETING else {journal_name(name): opened}) as users:
            found = await unneeded_files(home, users, now=now, without=gone)
            needed = await unfinished_fleets(users)
    except FilesInUse as objection:
        return Left(kept=str(objection))
    fleets = dead_fleets(home, needed=needed, before=now - GRACE_S)
    size = sum(path.lstat().st_size for folder in fleets for path in folder.rglob("*") if path.is_file())
    if not dry_run:
        found = await remove_files(home, found)
        for folder in fleets:
            shutil.rmtree(folder, ignore_errors=True)
    return Left(len(found.files), found.size + size, len(fleets))


def _seconds(age: str) -> float:
    """An age in seconds; raises BadInput."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", age)
    if match is None:
        raise BadInput(f"--older-than {age!r} is no age: give a number and s, m, h, d or w, as in 30d")
    return float(match[1]) * UNITS_S[match[2]]


def _fields(family: Family) -> dict[str, object]:
    top = family.top
    return {
        "run": top.run,
        "name": top.name,
        "state": top.state,
        "updated_at": top.updated_at,
        "nested": len(family.members) - 1,
        "events": sum(member.events for member in family.members),
    }


def _told(removed: list[Family], *, dry_run: bool, compacted: bool) -> list[str]:
    from ..console.table import aligned

    if not removed:
        return ["no run is old enough to be removed"]
    rows = []
    for fields in map(_fields, removed):
        ended = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(fields["updated_at"]))))
        rows.append((str(fields["run"]), str(fields["state"]), ended, str(fields["events"]), str(fields["name"])))
    runs = f"{len(removed)} run{'s' if len(removed) > 1 else ''}"
    if dry_run:
        end = f"{runs} would be removed"
    else:
        end = f"{runs} removed" if compacted else f"{runs} removed; their space is used again by the runs to come"
    return [*aligned(("RUN", "STATE", "ENDED", "EVENTS", "NAME"), rows), end]


def _told_of_files(left: Left, *, dry_run: bool) -> list[str]:
    from ..console.sanitise import visible

    if left.kept is not None:
        return [visible(left.kept)]
    if not left.files and not left.fleets:
        return []
    parts = []
    if left.files:
        parts.append(f"{left.files} file{'s' if left.files > 1 else ''} that no run refers to")
    if left.fleets:
        parts.append(f"what {left.fleets} fleet{'s have' if left.fleets > 1 else ' has'} left")
    done = "would be removed" if dry_run else "removed"
    return [f"{' and '.join(parts)} {done}: {left.bytes / 2**20:,.1f} MiB"]
