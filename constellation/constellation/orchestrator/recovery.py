"""Bringing runs back from the journal: to look at one, or to go on with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from ..journal import Journal, RunBusy, RunSummary
from ..scheduling import JournalEntry, RunId, RunMachine
from ..scheduling.commands import Command
from ..scheduling.events import RunStarted
from ..scheduling.records import decode_entry
from .errors import CannotResume, RunInUse

LEASE_S = 15.0
"""How long a run stays with an orchestrator that does not renew its claim."""


MAX_RUNS = 100_000
"""How many of a journal's runs are looked through for those that belong together."""


def owner_name() -> str:
    """How this process signs the leases it takes: `<host>/<process id>/<when the process began>`."""
    return _signature(os.getpid())


def _signature(pid: int) -> str:
    import psutil

    return f"{socket.gethostname()}/{pid}/{int(psutil.Process(pid).create_time() * 1000)}"


async def claim(journal: Journal, run: str, *, owner: str, at: float) -> None:
    """Take a run's lease, from an owner on this host that is dead if need be; raises RunInUse."""
    try:
        await journal.acquire(run, owner=owner, at=at, lease_s=LEASE_S)
    except RunBusy as busy:
        if not _is_dead(busy.owner):
            raise RunInUse(
                f"run {run} is being worked on by another orchestrator ({busy.owner}), whose claim lasts for another "
                f"{max(0.0, busy.expires_at - at):.0f} s; stop that one, or wait until the claim has run out"
            ) from busy
        await journal.release(run, owner=busy.owner)
        await journal.acquire(run, owner=owner, at=at, lease_s=LEASE_S)


def _is_dead(owner: str) -> bool:
    """Whether an owner was a process of this host that is gone."""
    import psutil

    host, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        return _signature(int(pid)) != owner
    except psutil.NoSuchProcess:
        return True


async def read_entries(journal: Journal, run: str) -> list[JournalEntry]:
    """A run's entries; raises CannotResume when they can't be read by this release, or don't begin with its start."""
    entries = []
    async for record in journal.read(run):
        try:
            entries.append(decode_entry(record.body))
        except ValueError as error:
            raise CannotResume(f"record {record.seq} of run {run} can't be read: {error}") from error
    if not entries or not isinstance(entries[0].event, RunStarted):
        raise CannotResume(f"run {run} was being submitted when its orchestrator stopped; submit it again")
    return entries


async def read_family(journal: Journal, run: str) -> dict[RunId, list[JournalEntry]]:
    """The entries of a run and of the runs nested in it, outer ones first; raises CannotResume.

    A nested run without any was being begun when its orchestrator stopped. It is removed, so that it can begin.
    """
    family = {RunId(run): await read_entries(journal, run)}
    for child in (await family_of(journal, run))[1:]:
        if child.events == 0:
            await journal.delete(child.run)
        else:
            family[RunId(child.run)] = await read_entries(journal, child.run)
    return family


async def family_of(journal: Journal, run: str) -> list[RunSummary]:
    """The summaries of a run and of the runs nested in it, outer ones first; raises RunNotFound."""
    family = [await journal.run(run)]
    children: dict[str, list[RunSummary]] = {}
    for summary in await journal.runs(limit=MAX_RUNS):
        if summary.parent is not None:
            children.setdefault(summary.parent, []).append(summary)
    for member in family:  # which grows meanwhile
        family += children.get(member.run, ())
    return family


def replay(entries: Sequence[JournalEntry]) -> RunMachine:
    """The state of a run after its entries."""
    first = entries[0].event
    if not isinstance(first, RunStarted):
        raise CannotResume(f"the first record of run {first.run} is not its start")
    machine = RunMachine(first)
    ignored: list[Command] = []
    for entry in entries:
        machine.apply(entry.event, ignored, entry.verdicts)
        ignored.clear()
    return machine
