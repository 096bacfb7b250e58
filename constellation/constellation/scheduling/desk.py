"""Where a run leaves what has to wait: stars for a device, and timers for their time."""

from __future__ import annotations

from ..graph import Applied, StarId, TaskStar
from .events import DeviceId


class Desk:
    """Takes everything in and keeps nothing: the desk of a run that is only looked at.

    Unlike commands, what is left here has no effect outside of the scheduler, so a run that is replayed leaves it anew.
    """

    __slots__ = ()

    def queue(self, star: TaskStar, avoid: frozenset[DeviceId]) -> None:
        """A star waits for a device from now on, but for none of those to avoid."""

    def unqueue(self, star: StarId) -> None:
        """A star does not wait for a device any more; it need not have."""

    def start_timer(self, timer: str, due_at: float) -> None:
        """Send `TimerFired` at the given time; replaces a timer of the same name."""

    def stop_timer(self, timer: str) -> None:
        """Forget a timer; it may have fired or never been started."""

    def graph_edited(self, applied: Applied) -> None:
        """The graph has changed."""

    def run_ended(self) -> None:
        """Nothing waits any more."""
