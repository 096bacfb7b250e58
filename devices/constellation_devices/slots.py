"""The tasks that run attempts: one per attempt that runs at the same time, kept and used again.

Starting a task and opening a cancel scope cost more than many a tool's work. So a slot's task waits in its mailbox
for the next attempt, and keeps one cancel scope until that has been used up by a cancellation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from .attempts import Attempt

RunAttempt = Callable[[Attempt], Awaitable[None]]


class _Slot:
    """One task's mailbox."""

    __slots__ = ("attempt", "filled")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt: Attempt | None = attempt
        self.filled = anyio.Event()


class Slots:
    """Hands attempts to waiting tasks and starts tasks where none waits; never holds an attempt back."""

    def __init__(self, task_group: TaskGroup, run: RunAttempt, *, keep: int) -> None:
        """Run attempts with `run`, which deals with every exception but cancellation itself.

        Args:
            task_group: Where the tasks live.
            run: Runs one attempt to its result.
            keep: How many waiting tasks are kept.
        """
        self._task_group = task_group
        self._run = run
        self._keep = keep
        self._waiting: list[_Slot] = []

    def start(self, attempt: Attempt) -> None:
        """Run an attempt."""
        if self._waiting:
            slot = self._waiting.pop()
            slot.attempt = attempt
            slot.filled.set()
        else:
            self._task_group.start_soon(self._work, _Slot(attempt), name="device slot")

    async def _work(self, slot: _Slot) -> None:
        while slot.attempt is not None or len(self._waiting) < self._keep:
            with anyio.CancelScope() as scope:
                while not scope.cancel_called:
                    attempt = slot.attempt
                    if attempt is None:
                        if len(self._waiting) >= self._keep:
                            return  # surplus: it was busy with something that could not be stopped
                        slot.filled = anyio.Event()
                        self._waiting.append(slot)
                        await slot.filled.wait()
                        continue
                    attempt.scope = scope
                    try:
                        await self._run(attempt)
                    finally:
                        attempt.scope = None
                        slot.attempt = None
