"""What is measured: a module that opens something, makes a graph ready in it, and runs that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from .dag import Dag

Run = Callable[[], Awaitable[int]]
"""Carries a graph out once, from beginning to end; returns how many of its stars have run."""

Prepare = Callable[[Dag], Awaitable[Run]]
"""Builds a graph, and compiles it where the subject does so: that is not measured."""


class Subject(Protocol):
    """A module of `peers`, or one of our own cases."""

    def opened(self, folder: Path) -> AbstractAsyncContextManager[Prepare]:
        """Start what lives longer than a run, such as workers, with files in a folder; stop it in the end."""
