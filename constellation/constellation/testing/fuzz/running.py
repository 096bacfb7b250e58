"""Carrying inputs out by the thousand, watching time and memory, and making those that break something small.

A failing input is written down as JSON: `{"target": …, "seed": …, "problem": …, "steps": [[name, argument, …], …]}`,
with a binary frame as `{"hex": …}`. `read_input` brings it back.
"""

from __future__ import annotations

import json
import signal
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from .breach import Breach
from .shrinking import shrunk
from .target import Step, Target

HANG_S = 5.0
"""CPU seconds after which an input counts as one that hangs; the slowest take some hundredths."""

WEIGHED_EVERY = 50
"""One in so many inputs has its memory counted, which makes it ten times slower."""

MEMORY_FACTOR = 100
"""Bytes of memory that a byte of input may take for a while: objects of one character, such as `{}`, take the most."""

MEMORY_BYTES = 1024 * 1024
"""Bytes that any input may take besides."""


@dataclass(slots=True)
class Failure:
    """An input that broke something.

    Attributes:
        target: The target's name.
        seed: What makes the input.
        problem: What was wrong.
        steps: The input, as small as it could be made.
    """

    target: str
    seed: int
    problem: str
    steps: Sequence[Step]

    def write(self, folder: Path) -> Path:
        """Write it down in a directory; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{self.target}-{self.seed}.json"
        steps = [[_as_json(part) for part in step] for step in self.steps]
        document = {"target": self.target, "seed": self.seed, "problem": self.problem, "steps": steps}
        place.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        return place


@dataclass(slots=True)
class Tally:
    """What many inputs come to.

    Attributes:
        inputs: How many were carried out, by target.
        steps: How many steps they had in all.
        fates: What became of them, by target.
        weighed: How many of them had their memory counted.
        most_bytes: The most memory that one of these took.
        peak_rss_bytes: The most resident memory of a process that carried them out, where that was measured.
        failures: Those that broke something.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    fates: dict[str, Counter[str]] = field(default_factory=dict)
    weighed: int = 0
    most_bytes: int = 0
    peak_rss_bytes: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what others come to."""
        self.inputs += other.inputs
        self.steps += other.steps
        for name, fates in other.fates.items():
            self.fates[name] = self.fates.get(name, Counter()) + fates
        self.weighed += other.weighed
        self.most_bytes = max(self.most_bytes, other.most_bytes)
        self.peak_rss_bytes = max(self.peak_rss_bytes, other.peak_rss_bytes)
        self.failures += other.failures


def fuzz(target: Target, seeds: Sequence[int]) -> Tally:
    """Carry out the inputs of some seeds, in this process and its main thread."""
    tally = Tally()
    fates = tally.fates[target.name] = Counter()
    with _no_hang() as begin:
        for seed in seeds:
            begin()
            steps = target.make(Random(f"{target.name} {seed}"))
            tally.inputs[target.name] += 1
            tally.steps += len(steps)
            try:
                if seed % WEIGHED_EVERY == 0:
                    fate, size = _weighed(target, steps)
                    tally.weighed += 1
                    tally.most_bytes = max(tally.most_bytes, size)
                else:
                    fate = target.run(steps)
            except Exception as error:
                fates["broken"] += 1
                tally.failures.append(_failure(target, seed, steps, error, begin))
            else:
                fates[fate] += 1
    return tally


def read_input(text: str) -> Sequence[Step]:
    """The steps of an input that was written down."""
    return [tuple(_from_json(part) for part in step) for step in json.loads(text)["steps"]]


def problem_of(error: Exception) -> str:
    """What an error says of the code under test: whatever is no `Breach` is a crash."""
    return str(error) if isinstance(error, Breach) else f"crash with {type(error).__name__}: {error}"[:500]


def _failure(target: Target, seed: int, steps: Sequence[Step], error: Exception, begin: Callable[[], None]) -> Failure:
    def fails(candidate: Sequence[Step]) -> bool:
        begin()
        try:
            target.run(candidate)
        except Exception as other:
            return type(other) is type(error)
        return False

    smallest = shrunk(steps, fails) if fails(steps) else steps  # memory shows only where it is counted
    return Failure(target.name, seed, problem_of(error), smallest)


def _weighed(target: Target, steps: Sequence[Step]) -> tuple[str, int]:
    tracemalloc.start()
    try:
        fate = target.run(steps)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = sum(len(part) for step in steps for part in step if isinstance(part, str | bytes))
    if peak > MEMORY_BYTES + MEMORY_FACTOR * size:
        raise Breach(f"{peak} bytes of memory were taken for an input of {size} bytes")
    return fate, peak


@contextmanager
def _no_hang() -> Iterator[Callable[[], None]]:
    """Break off what takes too much CPU time; what this yields sets the clock back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Breach(f"it takes more than {HANG_S:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S) and None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _as_json(part: Any) -> Any:
    return {"hex": part.hex()} if isinstance(part, bytes) else part


def _from_json(part: Any) -> Any:
    return bytes.fromhex(part["hex"]) if isinstance(part, dict) else part
