"""Spreading inputs over targets and processes."""

from __future__ import annotations

import logging
import resource
import signal
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from ..interrupts import interrupts_wait
from .codec_target import CodecTarget
from .door_target import DoorTarget
from .running import Tally, fuzz
from .session_target import SessionTarget
from .target import Target

CHUNK = 2000
"""How many seeds a process takes at once."""

TARGETS = {"codec": 139, "session": 60, "door": 1}
"""The targets, and how many of 200 seeds are theirs: the slower one is, the fewer it gets."""


@contextmanager
def opened(name: str) -> Iterator[Target]:
    """A target, ready to take inputs."""
    if name == "door":
        with DoorTarget() as door:
            yield door
    else:
        yield CodecTarget() if name == "codec" else SessionTarget()


def shares(seeds: Sequence[int], targets: Sequence[str], *, each: bool) -> dict[str, list[int]]:
    """Which seeds go to which target: by their shares, or all to each."""
    if each:
        return {name: list(seeds) for name in targets}
    order = [name for name in TARGETS if name in targets for _ in range(TARGETS[name])]
    split: dict[str, list[int]] = {name: [] for name in targets}
    for seed in seeds:
        split[order[seed * 83 % len(order)]].append(seed)  # spread out, so that every chunk has some of all
    return split


def fuzz_chunk(seeds: Sequence[int], targets: Sequence[str], each: bool) -> Tally:
    """Carry out the inputs of some seeds, in this process."""
    tally = Tally()
    for name, its in shares(seeds, targets, each=each).items():
        if its:
            with opened(name) as target:
                tally.add(fuzz(target, its))
    tally.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return tally


def fuzz_across(seeds: range, targets: Sequence[str], *, jobs: int, each: bool = False) -> Generator[Tally, None, None]:
    """Carry out the inputs of some seeds in so many processes; yields what each chunk comes to as it is done."""
    chunks = iter([seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)])
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quietly) as pool:
        try:
            with interrupts_wait():
                running = {pool.submit(fuzz_chunk, chunk, targets, each) for chunk in islice(chunks, 2 * jobs)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    chunk = next(chunks, None)
                    if chunk is not None:
                        with interrupts_wait():
                            running.add(pool.submit(fuzz_chunk, chunk, targets, each))
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _quietly() -> None:
    """Leave interrupts to the process that began it, and say nothing of what the hub says about its visitors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
