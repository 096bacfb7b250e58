"""Virtual time: a clock that stands still until it is told to go on, and an agenda of what is to happen when."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Alarm:
    """Something on the agenda of a `VirtualClock`.

    Attributes:
        due_at: When it is to happen, in seconds.
    """

    __slots__ = ("_action", "_arguments", "due_at")

    def __init__(self, due_at: float, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.due_at = due_at
        self._action: Callable[..., object] | None = action
        self._arguments = arguments

    @property
    def pending(self) -> bool:
        """Whether it is still to happen."""
        return self._action is not None

    def cancel(self) -> None:
        """See that it does not happen; one that has happened stays so."""
        self._action = None

    def _ring(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action(*self._arguments)


class VirtualClock:
    """A clock in seconds; calling it tells the time, so it can be given where a clock is asked for.

    What is due at the same instant happens in the order in which it was put on the agenda, so that everything driven
    by one clock is deterministic.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._agenda: list[tuple[float, int, Alarm]] = []
        self._ticket = 0

    def __call__(self) -> float:
        """The time."""
        return self._now

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self._now

    @property
    def next_at(self) -> float | None:
        """When the next thing is due; None when nothing is on the agenda."""
        agenda = self._agenda
        while agenda and not agenda[0][2].pending:
            heappop(agenda)
        return agenda[0][0] if agenda else None

    def at(self, due_at: float, action: Callable[..., object], *arguments: Any) -> Alarm:
        """Put something on the agenda; an instant that has passed means as soon as possible."""
        alarm = Alarm(max(due_at, self._now), action, arguments)
        self._ticket += 1
        heappush(self._agenda, (alarm.due_at, self._ticket, alarm))
        return alarm

    def after(self, delay_s: float, action: Callable[..., object], *arguments: Any) -> Alarm:
        """Put something on the agenda, so many seconds from now."""
        return self.at(self._now + delay_s, action, *arguments)

    def step(self) -> bool:
        """Go on to the next thing on the agenda and do it; False when there is none."""
        due_at = self.next_at
        if due_at is None:
            return False
        self._now = due_at
        heappop(self._agenda)[2]._ring()
        return True

    def run_until(self, instant: float) -> None:
        """Do everything that is due up to an instant, which it then is."""
        while (due_at := self.next_at) is not None and due_at <= instant:
            self.step()
        self._now = max(self._now, instant)
