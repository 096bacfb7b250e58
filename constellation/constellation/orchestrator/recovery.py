"""Bringing runs back from the journal: to look at one, or to go on with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from ..graph import TaskConstellation
from ..journal import Journal, RunBusy, RunSummary
from ..scheduling import JournalEntry, RunId, RunMachine
from ..scheduling.commands import Command
from ..scheduling.events import RunStarted
from ..scheduling.records import decode_entry
from .errors import CannotResume, RunInUse
from .report import RunReport, make_report

if TYPE_CHECKING:
    import psutil

LEASE_S = 15.0
"""How long a run stays with an orchestrator that does not renew its claim."""


MAX_RUNS = 100_000
"""How many of a journal's runs are looked through for those that belong together."""


def owner_name() -> str:
    """How this process signs the leases it takes: `<machine>/<process id>/<when the process began>`."""
    import psutil

    return _signature(psutil.Process())


def _signature(process: psutil.Process) -> str:
    return f"{machine_name()}/{process.pid}/{int(process.create_time() * 1000)}"


def machine_name() -> str:
    """What process ids mean something in: the host's name, and on Linux a mark of its boot and of the container.

    Hosts and containers may have one name, and share a journal: a process of another is not dead for not being here.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        mark = f"~{crc32((boot + os.readlink('/proc/self/ns/pid')).encode()):08x}"
    except OSError:
        mark = ""
    return socket.gethostname() + mark


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
    """Whether an owner was a process of this machine that is gone."""
    import psutil

    machine, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if machine != machine_name() or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        # One that has ended keeps its id until its parent, or the first process of a container, asks for its end.
        return _signature(process) != owner or process.status() == psutil.STATUS_ZOMBIE
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


async def shown(journal: Journal, run: str) -> tuple[TaskConstellation, RunReport]:
    """The graph with its states, and the report, of any run in a journal; raises RunNotFound, CannotResume."""
    summary = await journal.run(run)
    machine = replay(await read_entries(journal, summary.run))
    return machine.graph, make_report(summary.run, machine.graph, machine.state)


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
