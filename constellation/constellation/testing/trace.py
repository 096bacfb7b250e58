"""The trace of a world: what happened, one short line each, and a digest that tells two traces apart."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from .clock import VirtualClock


class Trace:
    """Lines with the time before each.

    Attributes:
        lines: What has happened so far.
        faults: How often each kind of fault has happened.
        commands: How often each kind of command was carried out.
        events: How often each kind of event was stored.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.lines: list[str] = []
        self.faults: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._clock = clock
        self._start = clock.now

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self._clock.now - self._start

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(f"{self.elapsed_s:9.4f} {line}")

    def fault(self, kind: str, about: str = "") -> None:
        """Count a fault and add a line for it."""
        self.faults[kind] += 1
        self.say(f"fault: {kind} {about}".rstrip())

    @property
    def digest(self) -> str:
        """A digest of all lines; the same seed gives the same one, in any process."""
        state = blake2b(digest_size=16)
        for line in self.lines:
            state.update(line.encode("utf-8", "backslashreplace") + b"\n")
        return state.hexdigest()
