"""Removing runs that have ended long ago from a journal, with the runs nested in them.

A run goes with its whole family or not at all, inner runs first: when this is cut off, what is left is found again.
Runs that have not ended, or that somebody has claimed, are never touched. What becomes of the files that runs have
passed is said in `artifact_gc.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..journal import Journal, RunNotFound, RunSummary
from .errors import RunInUse
from .recovery import claim

ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""The states of runs that nothing will happen in any more."""

EVERY_RUN = 2**31
"""More runs than a journal has; the old ones are the last of the list."""


@dataclass(frozen=True, slots=True)
class Family:
    """A run and the runs nested in it, outer ones first."""

    members: tuple[RunSummary, ...]

    @property
    def top(self) -> RunSummary:
        """The run that the others are nested in."""
        return self.members[0]

    @property
    def ended(self) -> bool:
        """Whether nothing will happen in any of them; what never began counts as ended with the run around it."""
        inner = all(member.state in ENDED or member.events == 0 for member in self.members)
        return inner and self.top.state in ENDED


async def families(journal: Journal) -> list[Family]:
    """All runs of a journal that are nested in no other, the newest first, with those nested in them."""
    found = await journal.runs(limit=EVERY_RUN)
    children: dict[str, list[RunSummary]] = {}
    for summary in found:
        if summary.parent is not None:
            children.setdefault(summary.parent, []).append(summary)
    result = []
    for summary in found:
        if summary.parent is None:
            members = [summary]
            for member in members:  # which grows meanwhile
                members += children.get(member.run, ())
            result.append(Family(tuple(members)))
    return result


async def expired(journal: Journal, *, before: float, keep: int = 0) -> list[Family]:
    """The runs that may be removed, the newest first.

    Args:
        journal: Where they are.
        before: When the last of their events has to be older than, in seconds since the epoch.
        keep: How many of the newest runs stay, whatever their age and state.
    """
    return [
        family
        for family in (await families(journal))[keep:]
        if family.ended and max(member.updated_at for member in family.members) < before
    ]


async def remove(journal: Journal, family: Family, *, owner: str, at: float) -> bool:
    """Remove a run and those nested in it; false when somebody has claimed it, or has removed it meanwhile.

    Args:
        journal: Where they are.
        family: The run, which has ended.
        owner: Who removes it, as in leases.
        at: The time, in seconds since the epoch.
    """
    try:
        await claim(journal, family.top.run, owner=owner, at=at)
        for member in reversed(family.members):
            await journal.delete(member.run)
    except (RunInUse, RunNotFound):
        return False
    return True


async def compact(journal: Journal) -> bool:
    """Have a journal give back the space of what was removed, unless a run is going on that would have to wait."""
    if await journal.runs(limit=1, state="running"):
        return False
    await journal.compact()
    return True
