"""What can be fuzzed: a target makes an input from a source of chance, and carries one out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

Step = tuple[Any, ...]
"""One thing that happens to the target: its name, then frames, numbers or text."""


class Target(Protocol):
    """Something that takes what a peer sends.

    Attributes:
        name: What it is called on the command line.
    """

    name: str

    def make(self, chance: Random) -> Sequence[Step]:
        """Make an input up."""

    def run(self, steps: Sequence[Step]) -> str:
        """Carry an input out, alike each time; returns what came of it, in a word, for the count.

        Raises:
            Breach: something happened that must not.
        """
