"""Measuring all subjects in rounds, each sample in a process of its own, and putting the figures beside one another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BenchError
from ..machine import file_system, host
from ..processes import measured_apart
from .database import Database, DatabaseMissing, open_database
from .figures import Figures, figures_of_runs
from .subjects import MEASURE_RUN, Case, Peer

Progress = Callable[[str], None]
"""Is told what is being measured."""


@dataclass(slots=True)
class Survey:
    """What was measured.

    Attributes:
        host: The machine, and the file system that journals were on.
        cases: Our own figures.
        peers: Those of peers, each with its peer.
        database: The PostgreSQL database that was measured with, JSON; None when there was none.
        skipped: Peers that are not installed, and cases that lack what they need, with what to do about it.
        failed: Peers that could not be measured, with what went wrong.
    """

    host: dict[str, Any]
    cases: list[Figures] = field(default_factory=list)
    peers: list[tuple[Peer, Figures]] = field(default_factory=list)
    database: dict[str, Any] | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def ratio(self, peer: Peer, figures: Figures) -> float | None:
        """How many times the CPU time of our matching case a peer takes; None when that case was not measured."""
        ours = next((case for case in self.cases if case.name == peer.against), None)
        return round(figures.cpu_us_per_star / ours.cpu_us_per_star, 3) if ours and ours.cpu_us_per_star else None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "host": self.host,
            "database": self.database,
            "cases": [figures.as_json() for figures in self.cases],
            "peers": [
                {
                    **figures.as_json(),
                    "ratio": self.ratio(peer, figures),
                    "against": peer.against.value,
                    "versions": peer.versions(),
                }
                for peer, figures in self.peers
            ],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped.items()],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed.items()],
        }


async def survey(
    cases: Sequence[Case],
    peers: Sequence[Peer],
    *,
    stars: int,
    peer_stars: int,
    repeats: int,
    folder: Path,
    timeout_s: float,
    store: str | None,
    progress: Progress,
) -> Survey:
    """Measure cases and peers.

    Subjects take turns, so that what else the machine does weighs on all alike. A peer that fails is left out of later
    rounds; a case that fails ends it all.

    Args:
        cases: Our own cases.
        peers: The peers; those that are not installed are skipped.
        stars: How many stars our own runs have.
        peer_stars: How many stars peers' runs have.
        repeats: How many rounds there are.
        folder: Where files of runs are kept meanwhile.
        timeout_s: How long one sample may take.
        store: The URL of the database for cases that need one; a server is started for them when None. Where that is
            not possible they are skipped.
        progress: Is told what is going on.

    Raises:
        BenchError: a case of ours could not be measured.
    """
    found = Survey({**host(), "file_system": file_system(folder)})
    found.skipped = {peer.name: reason for peer in peers if (reason := peer.missing()) is not None}
    present = [peer for peer in peers if peer.name not in found.skipped]
    samples: dict[str, list[Mapping[str, Any]]] = {}
    async with AsyncExitStack() as stack:
        database = None
        if any(case.in_database for case in cases):
            try:
                database = await stack.enter_async_context(open_database(store, folder))
            except DatabaseMissing as missing:
                found.skipped |= {case.name.value: str(missing) for case in cases if case.in_database}
            else:
                found.database = database.as_json()
        measured_cases = [case for case in cases if case.name not in found.skipped]
        for round_number in range(1, repeats + 1):
            for case in measured_cases:
                progress(f"round {round_number} of {repeats}: {case.name}, {stars:,} stars")
                arguments = {**case.arguments, "stars": stars}
                async with _placed(case, database) as where:
                    sample = await measured_apart(
                        case.function, {**arguments, **where}, within=folder, timeout_s=timeout_s
                    )
                samples.setdefault(case.name, []).append(sample)
            for peer in present:
                if peer.name in found.failed:
                    continue
                progress(f"round {round_number} of {repeats}: {peer.name}, {peer_stars:,} stars")
                arguments = {"module": peer.module, "stars": peer_stars}
                try:
                    sample = await measured_apart(MEASURE_RUN, arguments, within=folder, timeout_s=timeout_s)
                except BenchError as error:
                    found.failed[peer.name] = str(error)
                else:
                    samples.setdefault(peer.name, []).append(sample)
    found.cases = [case.summarise(case.name.value, samples[case.name]) for case in measured_cases]
    measured = [peer for peer in present if peer.name not in found.failed]
    found.peers = [(peer, figures_of_runs(peer.name, samples[peer.name])) for peer in measured]
    return found


@asynccontextmanager
async def _placed(case: Case, database: Database | None) -> AsyncIterator[Mapping[str, Any]]:
    """Where a case's journal is, as arguments for what measures it."""
    if not case.in_database:
        yield {}
        return
    assert database is not None
    async with database.schema() as url:
        yield {"store": url, "server": database.server}
