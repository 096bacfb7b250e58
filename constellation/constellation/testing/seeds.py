"""Many worlds, one per seed, across the cores: what became of them, and what they have reached."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import get_args

from ..scheduling import commands as cmd
from ..scheduling.events import RunEvent
from .errors import InvariantBreached
from .interrupts import interrupts_wait
from .world import SimulatedWorld

CHUNK = 20
"""How many seeds a process is given at a time."""

COMMANDS = frozenset(kind.__name__ for kind in get_args(cmd.Command))
"""All commands of the scheduler."""

EVENTS = frozenset(str(kind.__dataclass_fields__["kind"].default) for kind in get_args(get_args(RunEvent)[0]))
"""All events that a journal can have."""


@dataclass(slots=True)
class Tally:
    """What some worlds come to.

    Attributes:
        worlds: How many there were.
        faults: How often each kind of fault has happened.
        commands: How often each command was carried out.
        events: How often each kind of event was stored.
        breaches: What was wrong, by seed.
    """

    worlds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    breaches: dict[int, str] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what others come to."""
        self.worlds += other.worlds
        self.faults += other.faults
        self.commands += other.commands
        self.events += other.events
        self.breaches |= other.breaches


def simulate(seeds: Sequence[int]) -> Tally:
    """Run the worlds of some seeds, in this process."""
    tally = Tally()
    for seed in seeds:
        world = SimulatedWorld(seed)
        try:
            world.run()
        except InvariantBreached as breach:
            tally.breaches[seed] = str(breach)
        tally.worlds += 1
        tally.faults += world.trace.faults
        tally.commands += world.trace.commands
        tally.events += world.trace.events
    return tally


def simulate_across(seeds: range, *, jobs: int) -> Generator[Tally, None, None]:
    """Run the worlds of some seeds in so many processes; yields what each chunk comes to as it is done.

    Leaving the iteration ends it once the chunks under way are done.
    """
    chunks = iter([seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)])
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_parent) as pool:
        try:
            with interrupts_wait():
                running = {pool.submit(simulate, chunk) for chunk in islice(chunks, 2 * jobs)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    chunk = next(chunks, None)
                    if chunk is not None:
                        with interrupts_wait():
                            running.add(pool.submit(simulate, chunk))
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    """An interrupt from the terminal reaches all processes; the one that began it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
